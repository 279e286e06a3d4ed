import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { machinesBelow } from "../../test/support/machines-below.ts";
import { makeLasting } from "../../test/support/lasting-rig.ts";
import {
  canMountSmallDisk,
  mountSmallDisk,
  SMALL_DISK_HOW_TO,
  type SmallDisk,
} from "../../test/support/small-disk.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import {
  describeWithMachines,
  VM_CACHE_DIR,
  VM_PREPARE_TIMEOUT_MS,
  vmRig,
} from "../../test/support/vm-rig.ts";
import type { DiskAct } from "../../test/support/vm-on-disk.ts";
import { runProcess } from "../lib/process.ts";

const TIMEOUT_MS = 300_000;
const DISK_MB = 600;
const PROGRAM = join(import.meta.dirname, "../../test/support/vm-on-disk.ts");

/** What a process that sees the disk answers. */
async function ask(disk: SmallDisk, root: string, [act, name]: readonly [DiskAct, string?]) {
  const doing = { act, root, cacheDir: VM_CACHE_DIR, name };
  const { ending, stdout, stderr } = await runProcess({
    command: [...disk.within, process.execPath, PROGRAM, JSON.stringify(doing)],
    cwd: "/",
    env: { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" },
    timeoutMs: 200_000,
    outputBytesMax: 100_000,
  });
  expect({ ending, said: stderr.bytes.toString() }).toEqual({
    ending: { kind: "exited", code: 0 },
    said: "",
  });
  return JSON.parse(stdout.bytes.toString()) as unknown;
}

const isMountable = await canMountSmallDisk();
const name = `machines on a full disk${isMountable ? "" : ` (${SMALL_DISK_HOW_TO})`}`;

await describeWithMachines(name, () => {
  beforeAll(async () => {
    await using rig = await vmRig();
    await makeLasting(rig, null);
  }, VM_PREPARE_TIMEOUT_MS);

  test.skipIf(!isMountable && process.env["MYCELIUM_REQUIRE_ALL"] !== "1")(
    "a fork and a snapshot say that it is full, leave nothing, and are made once there is room",
    { timeout: TIMEOUT_MS },
    async () => {
      await using folder = await temporaryFolder();
      const path = join(folder.path, "disk");
      await using disk = await mountSmallDisk(path, DISK_MB);
      if (disk === null) throw new Error(SMALL_DISK_HOW_TO);
      const root = join(path, "workspaces");
      try {
        expect(await ask(disk, root, ["create"])).toEqual({ ok: true });
        expect(await ask(disk, root, ["snapshot", "base"])).toMatchObject({ ok: true });
        await disk.fill();
        const full = { ok: false, failure: { code: "disk-full" } };
        expect(await ask(disk, root, ["fork", "two"])).toMatchObject(full);
        expect(await ask(disk, root, ["snapshot", "more"])).toMatchObject(full);
        const left = { workspaces: ["one"], snapshots: ["one@base"] };
        expect(await ask(disk, root, ["list"])).toEqual(left);
        expect(machinesBelow(path)).toEqual([`${root}/one`]);
        await disk.free();
        expect(await ask(disk, root, ["say"])).toMatchObject({ said: "alive\n" });
        expect(await ask(disk, root, ["fork", "two"])).toMatchObject({ ok: true });
        expect(await ask(disk, root, ["snapshot", "more"])).toMatchObject({ ok: true });
      } finally {
        expect(await ask(disk, root, ["clear"])).toEqual({ workspaces: [] });
      }
    },
  );
});
