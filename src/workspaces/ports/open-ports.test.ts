import { readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { askPort } from "../../../test/support/ask-port.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { value } from "../../../test/support/lasting-rig.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { isAlive, processIdentity } from "../../lib/process.ts";
import { isListening } from "../loopback-port.ts";
import {
  closePortOf,
  closePortsOf,
  forwardsOf,
  keepPortOpen,
  openPortOf,
  openPortsOf,
  type PortRequest,
} from "./open-ports.ts";

const KEEPER = {
  program: join(import.meta.dirname, "../../../test/support/shouting-keeper.ts"),
  args: ["a b", "c"],
  env: { PATH: "/usr/bin:/bin" },
};

function open(folder: string, request: PortRequest) {
  return openPortOf(folder, request, (wanted) => keepPortOpen(folder, KEEPER, wanted));
}

/** Ends the keepers of a folder whatever a test did. */
async function portsFolder() {
  const folder = await temporaryFolder();
  return {
    path: folder.path,
    [Symbol.asyncDispose]: async () => {
      await closePortsOf(folder.path);
      await folder[Symbol.asyncDispose]();
    },
  };
}

test("an open port is found by its real number, until it is closed", async () => {
  await using folder = await portsFolder();
  const forward = value(await open(folder.path, { guestPort: 80 }));
  expect(forward.hostPort).toBeGreaterThan(0);
  expect(forwardsOf(folder.path)).toEqual([forward]);
  expect(await askPort(forward.hostPort, "hello")).toBe("80 a b c HELLO");
  expect(value(await open(folder.path, { guestPort: 80 }))).toEqual(forward);
  expect(await open(folder.path, { guestPort: 80, hostPort: 1 })).toMatchObject({ ok: false });
  const other = value(await open(folder.path, { guestPort: 81 }));
  value(await closePortOf(folder.path, 80));
  expect(await isListening(forward.hostPort)).toBe(false);
  expect(await closePortOf(folder.path, 80)).toMatchObject({ ok: false });
  expect(forwardsOf(folder.path)).toEqual([other]);
  await closePortsOf(folder.path);
  expect(await isListening(other.hostPort)).toBe(false);
  expect(forwardsOf(folder.path)).toEqual([]);
});

test("a port that is taken is refused, and nothing is left of it", async () => {
  await using folder = await portsFolder();
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  const address = taken.address();
  const hostPort = typeof address === "object" && address !== null ? address.port : 0;
  expect(await open(folder.path, { guestPort: 80, hostPort })).toMatchObject({ ok: false });
  expect(forwardsOf(folder.path)).toEqual([]);
  await new Promise((resolve) => taken.close(resolve));
});

test("one whose keeper was killed is open no more, and can be opened again", async () => {
  await using folder = await portsFolder();
  const first = value(await open(folder.path, { guestPort: 80 }));
  const keeper = openPortsOf(folder.path)[0]?.keeper;
  process.kill(keeper?.pid ?? Number.NaN, "SIGKILL");
  await eventually("it is gone", async () => forwardsOf(folder.path).length === 0);
  expect(await askPort(first.hostPort, "hello")).toBe("");
  const again = value(await open(folder.path, { guestPort: 80, hostPort: first.hostPort }));
  expect(again).toEqual(first);
  expect(await askPort(first.hostPort, "hello")).toBe("80 a b c HELLO");
});

test("a keeper that nobody wrote down, or whose workspace is gone, ends by itself", async () => {
  await using folder = await portsFolder();
  const unlisted = value(await keepPortOpen(folder.path, KEEPER, { guestPort: 80 }));
  const isUnlistedGone = async () => !(await isListening(unlisted.hostPort));
  await eventually("the one that nobody knows ends", isUnlistedGone);
  const listed = value(await open(folder.path, { guestPort: 80 }));
  await rm(join(folder.path, "ports.json"));
  const isListedGone = async () => !(await isListening(listed.hostPort));
  await eventually("the one without a workspace ends", isListedGone);
  expect(openPortsOf(folder.path)).toEqual([]);
});

test("a process that merely has a keeper's number is never taken for it", async () => {
  await using folder = await portsFolder();
  value(await open(folder.path, { guestPort: 80 }));
  const list = join(folder.path, "ports.json");
  const text = readFileSync(list, "utf8");
  const [port] = openPortsOf(folder.path);
  const { pid = 0, identity = "" } = port?.keeper ?? {};
  const own = processIdentity(process.pid) ?? "";
  writeFileSync(list, text.replace(`"pid":${pid}`, `"pid":${process.pid}`));
  expect(forwardsOf(folder.path)).toEqual([]);
  // This very process is not the one that is written down: closing ends nobody.
  await closePortsOf(folder.path);
  expect(isAlive(process.pid, own)).toBe(true);
  await eventually("it ends, as it is listed no more", async () => !isAlive(pid, identity));
});
