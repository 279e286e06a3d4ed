import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../../../test/support/eventually.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { ENV } from "../../../test/support/workspace-rig.ts";
import { Refusal } from "../../domain/failure.ts";
import { createDockerProvider } from "./docker.ts";
import { readEngineAddress } from "./engine-address.ts";
import { isLost } from "./engine-asking.ts";
import { openEngine } from "./engine.ts";

/** An engine that takes calls and does with them what the test says. */
async function standInEngine(onCall: (caller: Socket, calls: number) => void) {
  const folder = await temporaryFolder();
  const socketPath = join(folder.path, "engine.sock");
  const open = new Set<Socket>();
  let calls = 0;
  const server = createServer((caller) => {
    open.add(caller);
    caller.on("error", () => undefined);
    caller.on("close", () => open.delete(caller));
    caller.once("data", () => onCall(caller, (calls += 1)));
  }).listen(socketPath);
  await new Promise((resolve) => server.once("listening", resolve));
  return {
    socketPath,
    root: join(folder.path, "home"),
    calls: () => calls,
    open: () => open.size,
    [Symbol.asyncDispose]: async () => {
      for (const caller of open) caller.destroy();
      await new Promise((resolve) => server.close(resolve));
      await folder[Symbol.asyncDispose]();
    },
  };
}

const FACTS = JSON.stringify({ ServerVersion: "1", NCPU: 2, MemTotal: 3 });
const answer = (caller: Socket): unknown =>
  caller.end(`HTTP/1.1 200 OK\r\nContent-Length: ${FACTS.length}\r\n\r\n${FACTS}`);

async function refusalOf(asked: Promise<unknown>): Promise<Refusal> {
  const error = await asked.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof Refusal) return error;
  throw new Error(`not refused: ${String(error)}`);
}

const SHORT = { lookMs: 100, changeMs: 150, backMs: 50 } as const;

test("an engine that takes calls and never answers is given up by a named limit, and let go of", async () => {
  await using engine = await standInEngine(() => undefined);
  const { socketPath, root } = engine;
  const address = { socketPath };
  const looked = await refusalOf(openEngine(address, SHORT).facts());
  expect(looked.failure.code).toBe("workspace-unavailable");
  expect(looked.message).toContain("did not answer within 0.1 s");
  expect(looked.failure.hint).toContain("restart it if it hangs");
  const gitEnvironment = { PATH: ENV.PATH };
  const provider = createDockerProvider({
    root,
    address,
    image: "none",
    gitEnvironment,
    engineLimits: SHORT,
  });
  expect(await provider.probe()).toMatchObject({ kind: "missing" });
  const made = await provider.create({ id: "one", seed: null, env: ENV });
  expect(made.ok ? "" : made.failure.message).toContain("did not answer within");
  expect(made.ok ? "" : made.failure.code).toBe("workspace-unavailable");
  // It was asked to make one and may have done so: that is not forgotten.
  expect((await refusalOf(provider.remove("one"))).message).toContain("did not answer within");
  await eventually("nobody waits for it any more", () => engine.open() === 0);
});

test("what only looks is asked again when its answer was cut off, what must be done once is not", async () => {
  await using engine = await standInEngine((caller, calls) => {
    if (calls === 1) caller.destroy();
    else answer(caller);
  });
  const { socketPath } = engine;
  expect(await openEngine({ socketPath }).facts()).toMatchObject({ version: "1" });
  expect(engine.calls()).toBe(2);
  await using cutting = await standInEngine((caller) => caller.destroy());
  const cut = await refusalOf(
    openEngine({ socketPath: cutting.socketPath }).createContainer({ Image: "none" }),
  );
  expect(isLost(cut)).toBe(true);
  expect(cutting.calls()).toBe(1);
});

test("an engine that is not there is told at once, and nothing of it counts as lost", async () => {
  const engine = openEngine({ socketPath: "/nowhere/engine.sock" });
  const refused = await refusalOf(engine.createContainer({ Image: "none" }));
  expect(refused.failure.code).toBe("workspace-unavailable");
  expect(refused.failure.hint).toContain("start it");
  expect(isLost(refused)).toBe(false);
});

test("an address that cannot be read is told by what is asked of the engine, and not before", async () => {
  await using folder = await temporaryFolder();
  const provider = createDockerProvider({
    root: join(folder.path, "home"),
    address: () => readEngineAddress("ssh://somewhere"),
    image: "none",
    gitEnvironment: { PATH: ENV.PATH },
  });
  expect(await provider.probe()).toMatchObject({
    kind: "missing",
    what: expect.stringContaining("DOCKER_HOST"),
    hint: expect.stringContaining("unix:///path"),
  });
});
