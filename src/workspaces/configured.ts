import type { WorkspaceLimits, WorkspaceNetwork, WorkspaceProvider } from "./workspace.ts";

/** What a configuration says of every workspace. */
export interface WorkspaceSettings {
  readonly limits: WorkspaceLimits;
  readonly network?: WorkspaceNetwork | undefined;
  readonly image?: string | undefined;
}

/** The same workspaces, made as the configuration says where a request says nothing. */
export function configureProvider(
  provider: WorkspaceProvider,
  { limits, network, image }: WorkspaceSettings,
): WorkspaceProvider {
  return {
    ...provider,
    create: (request) =>
      provider.create({
        ...request,
        limits: { ...limits, ...request.limits },
        network: request.network ?? network,
        image: request.image ?? image,
      }),
  };
}
