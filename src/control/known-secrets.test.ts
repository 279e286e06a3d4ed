import { expect, test } from "vitest";
import type { AgentSettings } from "../config/schema.ts";
import { knownSecrets } from "./known-secrets.ts";

const agent = (settings: Partial<AgentSettings>): AgentSettings => ({
  command: "true",
  env: {},
  pass_env: [],
  reports_usage: true,
  ...settings,
});

function secretsOf(
  variables: Readonly<Record<string, string>>,
  settings: Partial<AgentSettings> = {},
): readonly string[] {
  const agents = new Map([["one", agent(settings)]]);
  return knownSecrets(
    { lookup: (name) => variables[name] },
    { agents, workspace: { kind: "local", network: "allow", pass_env: [] } },
  );
}

test("keys by their common names are secrets, whoever is passed them", () => {
  expect(secretsOf({ OPENAI_API_KEY: "one", GITHUB_TOKEN: "two", EDITOR: "vi" })).toEqual([
    "two",
    "one",
  ]);
});

test("what an agent is passed is a secret by its name, or when it looks like one", () => {
  const variables = {
    MY_PASSWORD: "tiger",
    SESSION: "a8f5f167f44f4964e6c998dee827110c",
    LANGUAGE: "en_GB.UTF-8",
    CACHE: "/home/someone/.cache/with/a/long/path/1",
    NOT_PASSED_TOKEN: "x",
  };
  const pass_env = ["MY_PASSWORD", "SESSION", "LANGUAGE", "CACHE", "UNSET_TOKEN"];
  expect(secretsOf(variables, { pass_env })).toEqual(["tiger", variables.SESSION]);
});

test("what the configuration sets for an agent is a secret by its name", () => {
  const env = { APP_TOKEN: "from-the-configuration", NODE_ENV: "production" };
  expect(secretsOf({}, { env })).toEqual(["from-the-configuration"]);
});
