import type { Environment } from "../config/environment.ts";
import type { Config } from "../config/resolve.ts";

/** Variables that hold keys by common agreement; agents may find them in files of their user's. */
const COMMON_VARIABLES = [
  "ANTHROPIC_API_KEY",
  "ANTHROPIC_AUTH_TOKEN",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "AZURE_OPENAI_API_KEY",
  "CLAUDE_CODE_OAUTH_TOKEN",
  "CODEX_API_KEY",
  "GEMINI_API_KEY",
  "GH_TOKEN",
  "GITHUB_TOKEN",
  "GITLAB_TOKEN",
  "GOOGLE_API_KEY",
  "HF_TOKEN",
  "MISTRAL_API_KEY",
  "NODE_AUTH_TOKEN",
  "NPM_TOKEN",
  "OPENAI_API_KEY",
  "OPENROUTER_API_KEY",
] as const;

const SECRET_NAME = /KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH/i;

/** The values that must not reach the log: of common keys, and of what agents are given. */
export function knownSecrets(
  environment: Pick<Environment, "lookup">,
  config: Pick<Config, "agents" | "workspace">,
): readonly string[] {
  const agents = [...config.agents.values()];
  const names = [
    ...COMMON_VARIABLES,
    ...config.workspace.pass_env,
    ...agents.flatMap(({ pass_env }) => pass_env),
  ];
  const passed = names.flatMap((name): readonly (readonly [string, string])[] => {
    const value = environment.lookup(name);
    return value !== undefined && (SECRET_NAME.test(name) || looksRandom(value))
      ? [[name, value]]
      : [];
  });
  const given = agents.flatMap(({ env }) => Object.entries(env));
  const secrets = given.filter(([name]) => SECRET_NAME.test(name));
  return [...passed, ...secrets].map(([, value]) => value);
}

/** Those that stand in the environment by common agreement alone. */
export function commonSecrets({ lookup }: Pick<Environment, "lookup">): readonly string[] {
  return COMMON_VARIABLES.flatMap((name) => lookup(name) ?? []);
}

/** Long, of letters and digits, and no path: such a thing is not said by chance. */
function looksRandom(value: string): boolean {
  return /^[A-Za-z0-9+=_.-][A-Za-z0-9+/=_.-]{19,}$/.test(value) && /\d/.test(value);
}
