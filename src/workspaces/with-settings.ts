import type {
  WorkspaceLimits,
  WorkspaceNetwork,
  WorkspaceProvider,
  WorkspaceRequest,
} from "./workspace.ts";

/** What every workspace of a run is made with, where the request itself does not say. */
export interface WorkspaceSettings {
  readonly limits: WorkspaceLimits;
  readonly network: WorkspaceNetwork;
  readonly image?: string | undefined;
}

/** The same provider, whose workspaces get these settings. */
export function withSettings(
  provider: WorkspaceProvider,
  settings: WorkspaceSettings,
): WorkspaceProvider {
  const fill = (request: WorkspaceRequest): WorkspaceRequest => ({ ...settings, ...request });
  return { ...provider, create: (request) => provider.create(fill(request)) };
}
