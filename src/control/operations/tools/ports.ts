import { z } from "zod";
import { Refusal } from "../../../domain/failure.ts";
import type { LastingWorkspace } from "../../../workspaces/lasting-workspace.ts";
import { unwrap } from "../../kept-at-hand.ts";
import { ownedWorkspace } from "../../owned-workspace.ts";
import { defineTool, workspaceId } from "./shapes.ts";

export const portSchema = z.int().min(1).max(65_535);

/** Lower ones are the system's. */
const HOST_PORT_MIN = 1024;

const forwardSchema = z.strictObject({ guest_port: portSchema, host_port: portSchema });

export const toolPortForward = defineTool({
  name: "port_forward",
  summary: "Open a port of a workspace on this machine's loopback, close it, or list what is open",
  does: "changes",
  input: z.strictObject({
    workspace_id: workspaceId,
    action: z.enum(["add", "remove", "list"]),
    guest_port: portSchema.optional(),
    host_port: portSchema
      .min(HOST_PORT_MIN)
      .optional()
      .describe("A free one is chosen where it is left out; the answer names the real one"),
  }),
  output: z.strictObject({
    workspace_id: z.string(),
    guest_port: portSchema.nullable(),
    host_port: portSchema.nullable(),
    port_forwards: z.array(forwardSchema),
  }),
  run: async (context, input) => {
    const { workspace_id: id, action, guest_port: guestPort, host_port: hostPort } = input;
    const { workspace } = await ownedWorkspace(context, id);
    if (action !== "list" && guestPort === undefined) {
      throw new Refusal("usage", `guest_port: is required to ${action} one`);
    }
    let opened: number | null = null;
    if (action === "add" && guestPort !== undefined) {
      const request = hostPort === undefined ? { guestPort } : { guestPort, hostPort };
      opened = unwrap(await workspace.forwardPort(request)).hostPort;
    }
    if (action === "remove" && guestPort !== undefined) {
      unwrap(await workspace.closePort(guestPort));
    }
    const { ports } = await workspace.info();
    const forwards = ports.map((port) => ({
      guest_port: port.guestPort,
      host_port: port.hostPort,
    }));
    return {
      workspace_id: id,
      guest_port: guestPort ?? null,
      host_port: opened,
      port_forwards: forwards,
    };
  },
});

export const toolNetworkPolicy = defineTool({
  name: "network_policy",
  summary:
    "Show what of the network a workspace reaches, or change it from its next start on: stopped " +
    "sandbox and vm workspaces can",
  does: "changes",
  input: z.strictObject({
    workspace_id: workspaceId,
    allow_internet: z.boolean().optional(),
    allow_inter_vm: z.boolean().optional(),
    allowed_ports: z.array(portSchema).max(1_000).optional(),
  }),
  output: z.strictObject({
    workspace_id: z.string(),
    kind: z.string(),
    allow_internet: z.boolean(),
    allow_inter_vm: z.boolean(),
    /** Ports that are open to loopback. */
    allowed_ports: z.array(portSchema),
  }),
  run: async (context, input) => {
    const { workspace_id: id } = input;
    const { workspace } = await ownedWorkspace(context, id);
    const { kind, network, ports } = await workspace.info();
    const now = {
      allow_internet: network === "allow",
      // Plain processes of one machine reach each other; all else is kept apart.
      allow_inter_vm: kind === "local",
      allowed_ports: ports.map(({ guestPort }) => guestPort),
    };
    const { allow_internet: internet, allow_inter_vm: interVm, allowed_ports: allowed } = input;
    if (interVm !== undefined && interVm !== now.allow_inter_vm) {
      const message =
        kind === "local"
          ? "local workspaces share this machine's network: they cannot be kept apart"
          : `${kind} workspaces are kept apart: none reaches another`;
      const hint = kind === "local" ? "use a sandbox, docker or vm workspace" : "use local ones";
      throw new Refusal("workspace-unsupported", message, { hint, details: { kind } });
    }
    if (allowed !== undefined && !isSame(allowed, now.allowed_ports)) {
      throw new Refusal("workspace-unsupported", "ports are opened one by one", {
        hint: "port_forward opens and closes them, on every kind",
      });
    }
    if (internet === undefined || internet === now.allow_internet) {
      return { workspace_id: id, kind, ...now };
    }
    await changeNetwork(workspace, internet);
    return { workspace_id: id, kind, ...now, allow_internet: internet };
  },
});

async function changeNetwork(workspace: LastingWorkspace, internet: boolean): Promise<void> {
  const { id, kind } = workspace;
  if (workspace.setNetwork !== undefined) {
    unwrap(await workspace.setNetwork(internet ? "allow" : "none"));
    return;
  }
  const message = `a ${kind} workspace keeps the network that it was made with`;
  const others = "sandbox and vm workspaces can change it while they are stopped";
  const hint =
    kind === "local"
      ? `sandbox, docker and vm workspaces can be made with allow_internet false, and ${others}`
      : `fork a snapshot of it with the other allow_internet; ${others}`;
  const details = { workspace_id: id, kind };
  throw new Refusal("workspace-unsupported", message, { hint, details });
}

function isSame(one: readonly number[], other: readonly number[]): boolean {
  const wanted = new Set(one);
  return wanted.size === new Set(other).size && other.every((port) => wanted.has(port));
}
