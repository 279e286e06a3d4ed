import { homedir } from "node:os";
import { expect, test } from "vitest";
import { Refusal } from "../domain/failure.ts";
import { readEnvironment } from "./environment.ts";

const read = (variables: Record<string, string>, home?: string) =>
  readEnvironment({ variables, cwd: "/work", home });

test("has a sensible default for everything", () => {
  const { lookup, ...environment } = read({});
  expect(environment).toEqual({
    home: `${homedir()}/.mycelium`,
    cache: `${homedir()}/.mycelium/cache`,
    mergeMb: 128,
    mockLlm: false,
    mockLlmOutputPath: null,
    mockLlmOutput: null,
    mockUsage: null,
    path: "/usr/local/bin:/usr/bin:/bin",
    userHome: homedir(),
    vault: `${homedir()}/.mycelium/vault`,
    lang: null,
    user: null,
    noColor: false,
    crashAt: null,
  });
  expect(lookup("ANYTHING")).toBeUndefined();
});

test("the home is what --home names, else MYCELIUM_HOME, else below the user's own", () => {
  const variables = { MYCELIUM_HOME: "state", HOME: "/home/ada" };
  expect(read(variables, "/other").home).toBe("/other");
  expect(read(variables).home).toBe("/work/state");
  expect(read({ HOME: "/home/ada", MYCELIUM_HOME: "" }).home).toBe("/home/ada/.mycelium");
});

test("reads the mock model's settings", () => {
  const environment = read({
    MOCK_LLM: "1",
    MOCK_LLM_OUTPUT_PATH: "reply.json",
    MOCK_LLM_OUTPUT: "{}",
    MOCK_CODEX_USAGE: '{"input_tokens": 50, "total_tokens": 70, "output_tokens": 20}',
  });
  expect(environment.mockLlm).toBe(true);
  expect(environment.mockLlmOutputPath).toBe("/work/reply.json");
  expect(environment.mockLlmOutput).toBe("{}");
  expect(environment.mockUsage).toEqual({
    input_tokens: 50,
    cached_input_tokens: 0,
    output_tokens: 20,
    reasoning_output_tokens: 0,
    cost_usd: null,
  });
});

test("reads how large merges may be", () => {
  expect(read({ MYCELIUM_MERGE_MB: "1024" }).mergeMb).toBe(1024);
  expect(read({ MYCELIUM_MERGE_MB: "" }).mergeMb).toBe(128);
});

test("looks up any variable, but nothing that objects inherit", () => {
  const { lookup } = read({ KEY: "secret", EMPTY: "" });
  expect([lookup("KEY"), lookup("EMPTY"), lookup("constructor"), lookup("__proto__")]).toEqual([
    "secret",
    "",
    undefined,
    undefined,
  ]);
});

test.each([
  ["MOCK_LLM", "yes"],
  ["MOCK_CODEX_USAGE", "{input_tokens"],
  ["MOCK_CODEX_USAGE", "7"],
  ["MOCK_CODEX_USAGE", '{"input_tokens": -1}'],
  ["MOCK_CODEX_USAGE", '{"inputTokens": 5}'],
  ["MYCELIUM_MERGE_MB", "0"],
  ["MYCELIUM_MERGE_MB", "-5"],
  ["MYCELIUM_MERGE_MB", "1.5"],
  ["MYCELIUM_MERGE_MB", "1e3"],
  ["MYCELIUM_MERGE_MB", "0x10"],
  ["MYCELIUM_MERGE_MB", " 64"],
  ["MYCELIUM_MERGE_MB", "64MB"],
  ["MYCELIUM_MERGE_MB", "1025"],
])("%s=%s is refused by name", (name, value) => {
  const refuse = () => read({ [name]: value });
  expect(refuse).toThrow(Refusal);
  expect(refuse).toThrow(name);
});
