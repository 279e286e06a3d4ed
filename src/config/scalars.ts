import { z } from "zod";

/** A command line for `/bin/sh -c`. */
export const commandLine = z
  .string()
  .max(10_000)
  .refine((command) => command.trim() !== "", { error: "must not be empty" })
  .refine((command) => !command.includes("\0"), { error: "must not hold a zero byte" });

export const variableName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,199}$/, {
  error: "a variable's name: letters, digits and '_', not starting with a digit",
});

/** The rules of `git check-ref-format --branch`, and no `-` at the start of a part. */
export const branchNameSchema = z
  .string()
  .min(1)
  .max(200)
  .refine((name) => name !== "HEAD" && !name.startsWith("refs/"), {
    error: "a branch's short name, such as `main`",
  })
  .refine((name) => name.split("/").every(isRefPart) && !/\.\.|@\{/.test(name), {
    error: "is not a name that git allows for a branch",
  });

/** Whole seconds, up to a day: longer is a hang that nobody noticed. */
export function seconds(byDefault: number): z.ZodDefault<z.ZodInt> {
  return z.int().min(1).max(86_400).default(byDefault);
}

function isRefPart(part: string): boolean {
  const holdsSpecial = Array.from(part).some((character) => {
    return character <= " " || character === "\u007f" || "~^:?*[\\".includes(character);
  });
  return part !== "" && part !== "@" && !holdsSpecial && !/^[.-]|\.$|\.lock$/.test(part);
}
