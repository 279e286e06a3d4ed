import { dirname } from "node:path";
import type { Result } from "../../domain/failure.ts";
import type { PortForward } from "../lasting-workspace.ts";
import { keepPortOpen, openPortOf, type PortRequest } from "../ports/open-ports.ts";
import type { VmLayout } from "./vm-record.ts";

/** Beside this file, as a source or built. */
const KEEPER = import.meta.filename.replace(/ports(\.[jt]s)$/, "port-keeper$1");
const KEEPER_ENV = { PATH: "/usr/bin:/bin" } as const;

/**
 * Opens a port of a machine on loopback, also of one without a network, until it is closed or the
 * workspace is stopped or removed. With the workspace's lock.
 */
export function openVmPort(
  { folder }: Pick<VmLayout, "folder">,
  id: string,
  request: PortRequest,
): Promise<Result<PortForward>> {
  const keeper = { program: KEEPER, args: [dirname(folder), id], env: KEEPER_ENV };
  return openPortOf(folder, request, (wanted) => keepPortOpen(folder, keeper, wanted));
}
