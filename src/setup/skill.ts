import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** The name of the skill, and of the folder that clients keep it in. */
const SKILL_NAME = "mycelium";
const SKILL_FILE = "SKILL.md";

/** The document of this package that teaches agents to use the tools. */
export function readSkill(): Promise<string> {
  const file = new URL(`../../skills/${SKILL_NAME}/${SKILL_FILE}`, import.meta.url);
  return readFile(file, "utf8");
}

/** Where it stands below a client's folder of skills. */
export function skillFile(folder: string): string {
  return join(folder, SKILL_NAME, SKILL_FILE);
}
