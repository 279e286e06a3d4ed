import type { Result } from "../../domain/failure.ts";
import type { PortForward } from "../lasting-workspace.ts";
import { keepPortOpen, openPortOf, type PortRequest } from "../ports/open-ports.ts";
import { containerName } from "./layout.ts";
import { folderOf, type Shop } from "./shop.ts";

/** Beside this file, as a source or built. */
const FORWARDER = import.meta.filename.replace(/ports(\.[jt]s)$/, "port-forwarder$1");

/**
 * Opens a port of a container on loopback, by a process that outlives this one. The workspace's lock
 * is held.
 */
export function openPort(
  shop: Shop,
  id: string,
  request: PortRequest,
): Promise<Result<PortForward>> {
  const folder = folderOf(shop, id);
  const args = [JSON.stringify(shop.address()), containerName(shop.home, id)];
  return openPortOf(folder, request, (wanted) =>
    keepPortOpen(folder, { program: FORWARDER, args, env: {} }, wanted),
  );
}
