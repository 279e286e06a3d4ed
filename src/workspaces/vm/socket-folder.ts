import { closeSync, constants, openSync } from "node:fs";

/** A folder whose sockets are reached whatever the length of its path. */
export interface SocketFolder extends Disposable {
  at(name: string): string;
}

/** The system allows a socket's path a hundred characters: an open folder stands for the rest. */
export function openSocketFolder(folder: string): SocketFolder {
  const descriptor = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  return {
    at: (name) => `/proc/self/fd/${descriptor}/${name}`,
    [Symbol.dispose]: () => closeSync(descriptor),
  };
}
