import { exitCodeOf, Refusal } from "../domain/failure.ts";
import { jsonLine, plainText } from "./render/terminal-text.ts";
import type { Terminal } from "./terminal.ts";

export interface ErrorReport {
  readonly json: boolean;
  readonly verbose: boolean;
  readonly terminal: Terminal;
}

/** What every error is to a program that reads `--json`. */
interface ToldError {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly hint: string | null;
}

/** Tells what went wrong, where, and what to do next; answers the exit code. */
export function reportError(error: unknown, { json, verbose, terminal }: ErrorReport): number {
  const told = tellError(error);
  if (json) terminal.stdout.write(`${jsonLine({ ok: false, error: told })}\n`);
  else terminal.stderr.write(errorText(told));
  if (verbose) terminal.stderr.write(`${stackOf(error)}\n`);
  return error instanceof Refusal ? exitCodeOf(error.failure.code) : 1;
}

function tellError(error: unknown): ToldError {
  if (error instanceof Refusal) return error.failure;
  if (isSystemError(error)) {
    const details = { code: error.code, syscall: error.syscall, path: error.path ?? null };
    if (error.code === "ENOSPC" || error.code === "EDQUOT") {
      const hint = "free some space, then `mycelium resume`";
      return { code: "disk-full", message: "the disk is full", details, hint };
    }
    const hint = "see whether the file is there, and whether you may use it";
    return { code: "system", message: error.message, details, hint };
  }
  return {
    code: "internal",
    message: error instanceof Error ? error.message : String(error),
    details: {},
    hint: "this is a defect of mycelium: run it again with -v and report what it prints",
  };
}

function errorText({ message, details, hint }: ToldError): string {
  const place = details["path"] ?? details["file"];
  const isKnown = typeof place !== "string" || message.includes(place);
  const lines = [
    `mycelium: ${message}`,
    ...(isKnown ? [] : [`  where: ${place}`]),
    ...(hint === null ? [] : [`  next: ${hint}`]),
  ];
  return `${plainText(lines.join("\n"))}\n`;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const cause = error.cause === undefined ? "" : `\ncaused by ${stackOf(error.cause)}`;
  return plainText(error.stack ?? error.message) + cause;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error && "code" in error;
}
