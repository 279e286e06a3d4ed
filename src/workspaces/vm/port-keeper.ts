import { keepPort } from "../ports/keep-port.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { relayToGuest } from "./port-relay.ts";
import { VmMachine } from "./vm-machine.ts";
import { readRecord, vmLayout } from "./vm-record.ts";

/** How long a conversation with the machine is kept for the next caller: there are few at once. */
const IDLE_MS = 1_000;

/**
 * The keeper of a machine's port; its arguments are the root of the workspaces and the workspace's
 * id. It talks to the machine only while somebody calls, and to whichever runs then: one that was
 * restored or started again is the same to its callers.
 */
let machine: VmMachine | null = null;
let callers = 0;
let idle: NodeJS.Timeout | undefined;

keepPort((caller, { guestPort, args: [root = "", id = ""] }) => {
  const layout = vmLayout(root, id);
  if (layout === null) {
    caller.destroy();
    return;
  }
  machine ??= new VmMachine(id, layout);
  const own = machine;
  callers += 1;
  clearTimeout(idle);
  caller.on("close", () => {
    callers -= 1;
    if (callers === 0) idle = setTimeout(() => own.disconnect(), IDLE_MS);
  });
  void relayToGuest(caller, guestPort, async () => {
    const record = readRecord(layout);
    if (record !== null) return own.connect(record.shape);
    return workspaceFailure(`there is no workspace ${id} any more`);
  });
});
