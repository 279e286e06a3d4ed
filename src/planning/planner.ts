import type { Result } from "../domain/failure.ts";

export interface PlanRequest {
  /** The plan as a person wrote it. */
  readonly plan: string;
  /** Where it was read from, for messages. */
  readonly planPath: string;
  /** Every tracked path of the integration branch. */
  readonly files: readonly string[];
  readonly resources: readonly { readonly name: string; readonly paths: readonly string[] }[];
  readonly doctor: string;
  readonly lint: string | null;
  readonly signal: AbortSignal;
}

/** Cuts a plan into tasks. Its reply is untrusted: planning parses and checks it. */
export interface Planner {
  readonly name: string;
  /** A value shaped like `{"tasks": [a manifest's fields and "spec", …]}`, or why there is none. */
  propose(request: PlanRequest): Promise<Result<unknown>>;
}
