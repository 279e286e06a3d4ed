import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { idsOf, type Stage, type Steps } from "../driver.ts";

export async function cleanup({ mcp, sandbox }: Stage, { step, phase }: Steps): Promise<void> {
  phase("8 cleanup");
  await step("every workspace is destroyed", async () => {
    for (const id of idsOf(await mcp.done("workspace_list", { owned_only: true }), "workspaces")) {
      const gone = await mcp.done("workspace_destroy", { workspace_id: id });
      expect(gone).toMatchObject({ workspace_id: id, destroyed: true });
    }
    expect(await mcp.done("workspace_list", {})).toEqual({ workspaces: [], count: 0 });
  });
  await step("destroying what is gone is refused", async () => {
    const said = await mcp.refused("workspace_destroy", { workspace_id: "single" });
    expect(said).toContain('there is no "single"');
  });
  await step("no workspace is left in the book, nor a folder of one", async () => {
    const book = readdirSync(join(sandbox.home, "kept")).filter((name) => name.endsWith(".json"));
    expect(book.filter((name) => !name.includes("@"))).toEqual([]);
    for (const folder of ["workspaces", "sandboxes/workspaces"]) {
      const path = join(sandbox.home, folder);
      if (existsSync(path)) expect(readdirSync(path)).toEqual([]);
    }
  });
  await step("the audit trail tells who did what", async () => {
    const { readFileSync } = await import("node:fs");
    const path = join(sandbox.home, "audit", "sessions.jsonl");
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    const entries = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const forks = entries.filter(({ tool }) => tool === "workspace_fork");
    expect(forks).toContainEqual(
      expect.objectContaining({
        what: "done",
        client: "driver 1.0.0",
        session: expect.any(String),
      }),
    );
    expect(new Set(entries.map(({ session }) => session)).size).toBe(1);
  });
  await step("the server has complained of nothing", async () => {
    expect(mcp.stderr()).toBe("");
  });
}
