import { beforeAll, describe, test } from "vitest";
import { seedRepository } from "../../test/support/seed-repository.ts";
import { VM_PREPARE_TIMEOUT_MS, vmRig, whyNoVm } from "../../test/support/vm-rig.ts";
import { makeWorkspace } from "../../test/support/workspace-rig.ts";
import { describeWorkspaceContract } from "./workspace.contract.ts";

const missing = await whyNoVm();

describe.skipIf(missing !== null)("machines", () => {
  beforeAll(async () => {
    await using rig = await vmRig();
    await using seed = await seedRepository();
    await makeWorkspace(rig, seed);
  }, VM_PREPARE_TIMEOUT_MS);
  describeWorkspaceContract("vm", () => vmRig());
});

test.runIf(missing !== null)(`machines are not tested here: ${missing}`, ({ skip }) => skip());
