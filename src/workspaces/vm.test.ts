import { beforeAll } from "vitest";
import { seedRepository } from "../../test/support/seed-repository.ts";
import { describeWithMachines, VM_PREPARE_TIMEOUT_MS, vmRig } from "../../test/support/vm-rig.ts";
import { makeWorkspace } from "../../test/support/workspace-rig.ts";
import { describeWorkspaceContract } from "./workspace.contract.ts";

await describeWithMachines("machines hold the contract", () => {
  beforeAll(async () => {
    await using rig = await vmRig();
    await using seed = await seedRepository();
    await makeWorkspace(rig, seed);
  }, VM_PREPARE_TIMEOUT_MS);
  describeWorkspaceContract("vm", () => vmRig());
});
