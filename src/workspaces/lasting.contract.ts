import { afterAll, beforeAll, describe } from "vitest";
import type { LastingAbilities, LastingRig } from "../../test/support/lasting-rig.ts";
import { seedRepository, type SeedRepository } from "../../test/support/seed-repository.ts";
import { describeLastingFiles } from "./lasting-files.contract.ts";
import { describeJobs } from "./lasting-jobs.contract.ts";
import { describeLife, describeVariables } from "./lasting-life.contract.ts";
import { describePorts } from "./lasting-ports.contract.ts";
import { describeForks, describeSnapshots } from "./lasting-snapshots.contract.ts";

/** What every kind of kept workspace must hold, beside `describeWorkspaceContract`. */
export function describeLastingContract(
  name: string,
  makeRig: () => Promise<LastingRig>,
  can: LastingAbilities,
): void {
  describe(`the kept ${name} workspace`, () => {
    let seed: SeedRepository;
    beforeAll(async () => {
      seed = await seedRepository();
    });
    afterAll(async () => seed[Symbol.asyncDispose]());
    const means = { makeRig, seed: () => seed, can };
    describeLife(means);
    describeVariables(means);
    describeJobs(means);
    describeLastingFiles(means);
    describePorts(means);
    describeSnapshots(means);
    describeForks(means);
  });
}
