import { expect } from "vitest";
import { eventually } from "../../support/eventually.ts";
import type { Sandbox } from "../../support/cli.ts";
import type { Answered, McpClient } from "../../support/mcp-client.ts";

export type { Answered } from "../../support/mcp-client.ts";

export type Kind = "local" | "sandbox" | "docker" | "vm";

/** What the phases share: the client, the kind, and the workspaces of earlier phases. */
export interface Stage {
  readonly sandbox: Sandbox;
  readonly mcp: McpClient;
  readonly kind: Kind;
  /** A path or command of the design as this kind has it: a local workspace has no root of its own. */
  readonly at: (text: string) => string;
  /** A command that says which machine it is. */
  readonly hostname: string;
  /** The workspace that every phase may use. */
  readonly primary: string;
  /** As `workspace_prepare` made it; `null` where that failed. */
  golden: string | null;
  forks: string[];
}

export interface StepReport {
  readonly number: number;
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
  readonly why: string;
}

export interface Steps {
  readonly reports: readonly StepReport[];
  /** Does one step; what it throws is its failure, and the next ones go on. */
  readonly step: (name: string, work: () => Promise<void>) => Promise<boolean>;
  /** One that needs what an earlier step was to make: skipped by name where that is missing. */
  readonly needs: <T>(
    what: T | null,
    name: string,
    work: (it: T) => Promise<void>,
  ) => Promise<void>;
  /** Steps that count from here on are of this phase. */
  readonly phase: (name: string) => void;
}

export function countSteps(): Steps {
  const reports: StepReport[] = [];
  let phase = "";
  const note = (name: string, outcome: StepReport["outcome"], why = ""): void => {
    reports.push({ number: reports.length + 1, name: `${phase}: ${name}`, outcome, why });
  };
  const step: Steps["step"] = async (name, work) => {
    try {
      await work();
      note(name, "passed");
      return true;
    } catch (error) {
      note(name, "failed", error instanceof Error ? error.message : String(error));
      return false;
    }
  };
  return {
    reports,
    step,
    needs: async (what, name, work) => {
      if (what === null) note(name, "skipped", "what it needs was not made");
      else await step(name, () => work(what));
    },
    phase: (name) => (phase = name),
  };
}

/** The steps that did not pass, in words; empty where all did. */
export function whatFailed(reports: readonly StepReport[]): readonly string[] {
  return reports
    .filter(({ outcome }) => outcome !== "passed")
    .map(({ number, name, outcome, why }) => `${number}. ${name} ${outcome}: ${why}`);
}

/** Runs a command that must end with 0, and answers what it said. */
export async function sh(mcp: McpClient, id: string, command: string): Promise<string> {
  const ran = await mcp.done("exec", { workspace_id: id, command });
  expect(ran).toMatchObject({ exit_code: 0 });
  return String(ran["stdout"]);
}

export function idsOf(answer: Answered, list: string): readonly string[] {
  const entries = answer[list] as readonly { readonly workspace_id: string }[];
  return entries.map(({ workspace_id: id }) => id);
}

/** Waits until what is expected of something that cannot signal holds; fails with what did not. */
export async function becomes(expecting: () => Promise<unknown>): Promise<void> {
  let last: unknown = null;
  const holds = async (): Promise<boolean> => {
    try {
      await expecting();
      return true;
    } catch (error) {
      last = error;
      return false;
    }
  };
  await eventually("what is expected", holds).catch(() => {
    throw last;
  });
}
