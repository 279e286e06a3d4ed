import { describeWithSandboxes } from "../../test/support/needs-sandbox.ts";
import { sandboxRig } from "../../test/support/sandbox-rig.ts";
import { describeLastingContract } from "./lasting.contract.ts";

await describeWithSandboxes("sandboxes are kept", () => {
  describeLastingContract("sandbox", () => sandboxRig(), {
    ownHostName: true,
    networkNone: true,
    networkChange: true,
    limits: true,
    liveForks: false,
    anyHostPort: true,
    console: false,
  });
});
