import { describeWithSandboxes } from "../../test/support/needs-sandbox.ts";
import { sandboxRig } from "../../test/support/sandbox-rig.ts";
import { describeWorkspaceContract } from "./workspace.contract.ts";

await describeWithSandboxes("sandboxes hold the contract", () => {
  describeWorkspaceContract("sandbox", () => sandboxRig());
});
