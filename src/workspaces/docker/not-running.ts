import { Refusal } from "../../domain/failure.ts";

/** In the words that scripts know. */
export function notRunning(id: string): Refusal {
  return new Refusal("workspace-stopped", `VM must be Running: ${id} is stopped`, {
    hint: "start the workspace first",
  });
}
