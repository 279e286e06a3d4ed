import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { localRig } from "../../test/support/local-rig.ts";
import { seedRepository, type SeedRepository } from "../../test/support/seed-repository.ts";
import { makeWorkspace, type ProviderRig } from "../../test/support/workspace-rig.ts";
import type { GateVerdict } from "../domain/gate.ts";
import type { Workspace } from "../workspaces/workspace.ts";
import { runCommandGate } from "./command.ts";

let seed: SeedRepository;
let rig: ProviderRig;
let workspace: Workspace;

beforeAll(async () => {
  seed = await seedRepository();
  rig = await localRig();
  workspace = await makeWorkspace(rig, seed);
});

afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await seed[Symbol.asyncDispose]();
});

function judge(command: string, timeoutMs = 30_000): Promise<GateVerdict> {
  const { signal } = new AbortController();
  return runCommandGate({ gate: "doctor", command, timeoutMs, workspace, signal, env: {} });
}

describe("a command gate", () => {
  it.each([
    ["true", "pass", 0],
    ["exit 3", "fail", 3],
    ["no-such-program-at-all", "could-not-run", 127],
    ["./README.md", "could-not-run", 126],
    ["kill -KILL $$", "could-not-run", null],
  ])("answers %j with %s", async (command, answer, exitCode) => {
    expect(await judge(command)).toMatchObject({ answer, exitCode, command });
  });

  it("that finds no end within its time has failed", async () => {
    expect(await judge("sleep 60", 200)).toMatchObject({ answer: "fail", exitCode: null });
  });

  it("that was stopped with the run gave no verdict", async () => {
    const signal = AbortSignal.abort();
    const gate = { gate: "doctor", command: "true", timeoutMs: 1000, env: {} } as const;
    const verdict = await runCommandGate({ ...gate, workspace, signal });
    expect(verdict.answer).toBe("could-not-run");
  });

  it("digests the whole output of both streams and keeps its end", async () => {
    const verdict = await judge("seq 1 5000; echo last >&2");
    const numbers = Array.from({ length: 5000 }, (_, index) => `${index + 1}\n`).join("");
    expect(verdict.outputTail.startsWith("[…]\n")).toBe(true);
    expect(verdict.outputTail).toContain("\n5000\n");
    const wholes = [`${numbers}last\n`, `last\n${numbers}`];
    const digests = wholes.map((whole) => createHash("sha256").update(whole).digest("hex"));
    expect(digests).toContain(verdict.logDigest);
  });
});
