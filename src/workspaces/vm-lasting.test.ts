import { describeWithMachines, vmRig } from "../../test/support/vm-rig.ts";
import { describeLastingContract } from "./lasting.contract.ts";

await describeWithMachines("machines are kept", () => {
  describeLastingContract("vm", () => vmRig(), {
    ownHostName: true,
    networkNone: true,
    networkChange: true,
    limits: true,
    liveForks: true,
    anyHostPort: true,
    console: true,
  });
});
