import { readEnvironment, type Environment } from "./config/environment.ts";
import { locateConfig, type ConfigSearch } from "./config/locate.ts";
import { resolveConfig, type Config } from "./config/resolve.ts";
import { Refusal } from "./domain/failure.ts";
import { readTextFile } from "./lib/text-file.ts";

const CONFIG_BYTES_MAX = 1_000_000;

/** The environment of this process. Nothing else reads `process.env`. */
export function environmentOfProcess(
  overrides: { readonly home?: string | undefined } = {},
): Environment {
  return readEnvironment({ variables: process.env, cwd: process.cwd(), home: overrides.home });
}

/**
 * Finds, reads and checks the configuration. Throws `repository-missing`, `config-missing`, or
 * `config-invalid` with the path of every field that is wrong.
 */
export async function loadConfig(
  search: ConfigSearch & { readonly environment: Pick<Environment, "lookup"> },
): Promise<Config> {
  const file = locateConfig(search);
  const content = await readTextFile(file, { bytesMax: CONFIG_BYTES_MAX, followLinks: true });
  if (!content.ok) {
    const code = content.reason === "missing" ? "config-missing" : "config-invalid";
    throw new Refusal(code, `${file} ${content.message}`, {
      hint: "name another file with --config",
      details: { path: file },
    });
  }
  return resolveConfig({ file, text: content.text, lookup: search.environment.lookup });
}
