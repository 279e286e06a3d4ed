import { z } from "zod";
import type { KeptEntry } from "../../../workspaces/kept-ledger.ts";
import type { WorkspaceInfo } from "../../../workspaces/lasting-workspace.ts";
import { portSchema } from "./ports.ts";

export const workspaceSchema = z.strictObject({
  workspace_id: z.string(),
  name: z.string(),
  kind: z.string(),
  /** `half-made` is what a killed maker left; a kind that is `unavailable` says why. */
  state: z.enum(["running", "stopped", "broken", "half-made", "unavailable"]),
  hostname: z.string().nullable(),
  created_at: z.string().nullable(),
  /** Whether it is this session's. */
  owned: z.boolean(),
  forked_from: z.string().nullable(),
  allow_internet: z.boolean().nullable(),
  resources: z.strictObject({
    vcpus: z.number().nullable(),
    memory_mb: z.int().nullable(),
    disk_mb: z.int().nullable(),
    pids: z.int().nullable(),
  }),
  port_forwards: z.array(z.strictObject({ guest_port: portSchema, host_port: portSchema })),
});

export type ShownWorkspace = z.output<typeof workspaceSchema>;

export function shownWorkspace(info: WorkspaceInfo, owned: boolean): ShownWorkspace {
  const { cpus, memoryMb, diskMb, pids } = info.limits;
  return {
    workspace_id: info.id,
    name: info.id,
    kind: info.kind,
    state: info.state,
    hostname: info.hostname,
    created_at: info.createdAt,
    owned,
    forked_from: info.forkedFrom,
    allow_internet: info.network === "allow",
    resources: {
      vcpus: cpus ?? null,
      memory_mb: memoryMb ?? null,
      disk_mb: diskMb ?? null,
      pids: pids ?? null,
    },
    port_forwards: info.ports.map(({ guestPort, hostPort }) => ({
      guest_port: guestPort,
      host_port: hostPort,
    })),
  };
}

/** What only the book knows. */
export function unseenWorkspace(
  { id, kind }: Pick<KeptEntry, "id" | "kind">,
  owned: boolean,
  state: "half-made" | "unavailable",
): ShownWorkspace {
  return {
    workspace_id: id,
    name: id,
    kind,
    state,
    hostname: null,
    created_at: null,
    owned,
    forked_from: null,
    allow_internet: null,
    resources: { vcpus: null, memory_mb: null, disk_mb: null, pids: null },
    port_forwards: [],
  };
}
