import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { VM_CACHE, VM_PREPARE_TIMEOUT_MS } from "../../../test/support/vm-rig.ts";
import { createVmProvider } from "../vm.ts";
import { buildMachineImage } from "./build-machine-image.ts";

const cacheDir = join(VM_CACHE, "vm");
const probe = await createVmProvider({ root: "/nonexistent", cacheDir }).probe();
const isSkipped = probe.kind === "missing" && process.env["MYCELIUM_REQUIRE_ALL"] !== "1";
const why = probe.kind === "missing" ? ` (${probe.what}; ${probe.hint})` : "";

describe("the image of machines", () => {
  test.skipIf(isSkipped)(
    `is built once and then found by what is in it${why}`,
    async () => {
      const request = { from: "debootstrap", include: [], cacheDir } as const;
      const built = await buildMachineImage(request);
      expect(built).toMatchObject({ image: expect.stringMatching(/^\w{32}$/), alias: "default" });
      expect(await buildMachineImage(request)).toEqual({ ...built, cached: true });
    },
    VM_PREPARE_TIMEOUT_MS,
  );

  test("is not made of this machine's files, and nothing is left of the attempt", async () => {
    await using folder = await temporaryFolder();
    const request = { from: "host", include: [], cacheDir: folder.path } as const;
    await expect(buildMachineImage(request)).rejects.toMatchObject({
      failure: { code: "usage", hint: expect.stringContaining("kernel") },
    });
  });

  test("of packages that there are not is refused, with what to do", async () => {
    await using folder = await temporaryFolder();
    const include = ["no-such-package-anywhere"];
    const request = { from: "debootstrap", include, cacheDir: folder.path } as const;
    await expect(buildMachineImage(request)).rejects.toMatchObject({
      failure: { code: "workspace-failed", hint: expect.stringContaining("apt-get update") },
    });
  });
});
