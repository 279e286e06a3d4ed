import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { makeSandbox } from "../../support/cli.ts";
import { connectMcp } from "../../support/mcp-client.ts";
import { becomes, sh } from "./driver.ts";

const LOCAL = { args: ["--kind", "local"] };
const RUNS_A_TOOL = 25;

const HOSTILE_TEXTS = [
  "",
  " ",
  "\0",
  "a\0b",
  "../../../etc/passwd",
  "/etc/shadow",
  "..",
  ".",
  "-rf",
  "--help",
  "$(id)",
  "`id`",
  "a;b",
  "a\nb",
  "\u202Egnp.exe",
  "\uD800",
  "\u001b[2J",
  "ä🍄",
  "x".repeat(300),
  "x".repeat(300_000),
  "__proto__",
  "constructor",
  "owned@base",
  "golden-0000000000000000",
  "NaN",
];

const hostileText = fc.oneof(fc.constantFrom(...HOSTILE_TEXTS), fc.string({ unit: "binary" }));

const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  hostileText,
  fc.constantFrom(null, true, false, 0, -1, 1.5, 1e308, 2 ** 53, -(2 ** 31), [], {}),
  fc.array(hostileText, { maxLength: 25 }),
  fc.dictionary(hostileText, hostileText, { maxKeys: 5 }),
  fc.jsonValue({ maxDepth: 4 }),
);

/** Lines for a shell are not made up: nothing holds a local workspace's commands. */
const RUN = /^(?:commands?|setup_commands|tasks|queries)$/;
const harmless = fc.constantFrom<unknown>("true", ["true"], [], null, 7, [[]], { a: 1 }, ["\0"]);

/** What the schema knows as keys, with whatever as values, and a key of nobody now and then. */
function inputsOf(keys: readonly string[]): fc.Arbitrary<object> {
  const known = keys.map((key): [string, fc.Arbitrary<unknown>] => [
    key,
    RUN.test(key) ? harmless : hostileValue,
  ]);
  const some = fc.record(Object.fromEntries(known), { requiredKeys: [] });
  const others = fc.dictionary(hostileText, hostileValue, { maxKeys: 1 });
  return fc.oneof(
    { weight: 4, arbitrary: some },
    { weight: 1, arbitrary: fc.tuple(some, others).map(([one, other]) => ({ ...other, ...one })) },
  );
}

test("whatever a tool is given, it answers clearly, and the server goes on", async () => {
  await using sandbox = await makeSandbox();
  await using owner = await connectMcp(sandbox, LOCAL);
  await owner.done("workspace_create", { name: "owned" });
  await sh(owner, "owned", "echo keep > secret.txt");
  await owner.done("snapshot", { workspace_id: "owned", action: "create", name: "base" });
  await using mcp = await connectMcp(sandbox, LOCAL);
  const { tools } = await mcp.client.listTools();
  for (const { name, inputSchema } of tools) {
    const keys = Object.keys(inputSchema.properties ?? {});
    await fc.assert(
      fc.asyncProperty(inputsOf(keys), async (input) => {
        const answer = await mcp.call(name, input);
        expect(answer.text).not.toBe("");
        if (!answer.isError) return;
        // A refusal, never a bug: that would say so.
        expect(answer.text).not.toContain("internal error");
        expect(answer.code).toMatch(/^[a-z-]+$/);
        expect(answer.text.length).toBeLessThan(20_000);
      }),
      { numRuns: RUNS_A_TOOL },
    );
  }
  expect(await sh(owner, "owned", "ls; cat secret.txt")).toBe("secret.txt\nkeep\n");
  expect(mcp.stderr()).toBe("");
  // Nothing was made beside the home.
  const beside = readdirSync(sandbox.repository.folder).toSorted();
  expect(beside.filter((name) => !["home", "repository", "mycelium-home"].includes(name))).toEqual(
    [],
  );
  expect(existsSync(join(sandbox.repository.path, "stolen"))).toBe(false);
});

const LINES = [
  "",
  "not json",
  "{",
  "[]",
  "null",
  "42",
  '{"jsonrpc":"2.0"}',
  '{"jsonrpc":"1.0","id":1,"method":"tools/list"}',
  '{"jsonrpc":"2.0","id":{},"method":"tools/list"}',
  '{"jsonrpc":"2.0","id":2,"method":"no/such"}',
  '{"jsonrpc":"2.0","id":3,"method":"tools/call","params":7}',
  '{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":7}}',
  '{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"exec","arguments":[]}}',
  '{"jsonrpc":"2.0","id":6,"method":"resources/read","params":{"uri":"file:///etc/passwd"}}',
  '{"jsonrpc":"2.0","id":7,"method":"prompts/get","params":{"name":"__proto__"}}',
  '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}',
  `{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"${"x".repeat(100_000)}"}}`,
  "[".repeat(50_000),
];

test("lines that are no messages, or no sensible ones, do not end the server", async () => {
  await using sandbox = await makeSandbox();
  const child = spawn(process.execPath, [sandbox.program, "mcp", "--kind", "local"], {
    cwd: sandbox.repository.path,
    env: { ...sandbox.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const answers: Record<string, unknown>[] = [];
  const waiting = new Map<unknown, () => void>();
  createInterface(child.stdout).on("line", (line) => {
    const answer = JSON.parse(line) as Record<string, unknown>;
    answers.push(answer);
    waiting.get(answer["id"])?.();
  });
  const send = (line: string): void => void child.stdin.write(`${line}\n`);
  const ask = (id: number, message: object): Promise<void> =>
    new Promise((resolve) => {
      waiting.set(id, resolve);
      send(JSON.stringify({ jsonrpc: "2.0", id, ...message }));
    });
  try {
    const clientInfo = { name: "raw", version: "1" };
    const params = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo };
    await ask(100, { method: "initialize", params });
    send('{"jsonrpc":"2.0","method":"notifications/initialized"}');
    for (const line of LINES) send(line);
    await ask(101, { method: "tools/list" });
    const byId = new Map(answers.map((answer) => [answer["id"], answer]));
    expect(byId.get(101)).toMatchObject({ result: { tools: expect.any(Array) } });
    await becomes(async () => {
      const errors = answers.flatMap(({ id, error }) => (error === undefined ? [] : [id]));
      expect(errors).toEqual(expect.arrayContaining([2, 4, 5, 6, 7]));
    });
    expect(JSON.stringify(answers)).not.toContain("root:");
  } finally {
    child.stdin.end();
    await exited;
  }
  expect(child.exitCode).toBe(0);
});
