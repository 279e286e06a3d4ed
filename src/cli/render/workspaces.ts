import type { ShownFiles } from "../../control/operations/workspace-files.ts";
import type { ShownSnapshot } from "../../control/operations/workspace-snapshots.ts";
import type {
  ShownProbes,
  ShownSweep,
  ShownWorkspace,
} from "../../control/operations/workspaces.ts";
import type { Style } from "./style.ts";
import { renderTable } from "./table.ts";
import { plainLine, plainText } from "./terminal-text.ts";

const NOTHING = "-";

export function renderWorkspaces(
  {
    workspaces,
    unavailable,
  }: { readonly workspaces: readonly ShownWorkspace[]; readonly unavailable?: Unavailable },
  style: Style,
): string {
  if (workspaces.length === 0)
    return "There are no workspaces; `mycelium workspace create` makes one.";
  const head = ["NAME", "KIND", "STATE", "CREATED", "FORKED FROM", "OWNER"];
  const rows = workspaces.map(({ name, kind, state, created_at, forked_from, owner }) => [
    name,
    kind,
    state,
    created_at ?? NOTHING,
    forked_from ?? NOTHING,
    owner,
  ]);
  return [...renderTable(head, rows, style.dim), ...renderUnavailable(unavailable, style)].join(
    "\n",
  );
}

type Unavailable =
  | readonly { readonly kind: string; readonly message: string; readonly hint: string | null }[]
  | undefined;

/** What is missing in a list, and what to do about it. */
function renderUnavailable(unavailable: Unavailable, style: Style): readonly string[] {
  return (unavailable ?? []).map(({ kind, message, hint }) => {
    const next = hint === null ? "" : `\n  ${style.bold("Next:")} ${plainLine(hint)}`;
    return `${style.bold(kind)} is ${style.red("unavailable")}: ${plainLine(message)}${next}`;
  });
}

export function renderWorkspace(workspace: ShownWorkspace, style: Style): string {
  const { name, kind, state, limits, ports } = workspace;
  const limited = Object.entries(limits).filter(([, value]) => value !== undefined);
  const rows = [
    ["host name", workspace.hostname ?? NOTHING],
    ["created", workspace.created_at ?? NOTHING],
    ["forked from", workspace.forked_from ?? NOTHING],
    ["network", workspace.network ?? NOTHING],
    ["limits", limited.map(([key, value]) => `${key} ${value}`).join(", ") || "none"],
    ["ports", ports.map(({ guest, host }) => `${guest} at 127.0.0.1:${host}`).join(", ") || "none"],
    ["owner", workspace.owner],
  ] as const;
  const lines = rows.map(([label, text]) => `  ${style.dim(label.padEnd(12))} ${plainLine(text)}`);
  return [`${style.bold(plainLine(name))}, ${kind}, ${state}`, ...lines].join("\n");
}

export function renderVariables({
  variables,
}: {
  readonly variables: Readonly<Record<string, string>>;
}): string {
  return Object.entries(variables)
    .map(([name, value]) => plainLine(`${name}=${value}`))
    .join("\n");
}

export function renderLog({ text }: { readonly text: string }): string {
  return plainText(text).trimEnd();
}

export function renderFiles({ entries }: ShownFiles, style: Style): string {
  const rows = entries.map(({ name, kind, bytes, mode, modified_at }) => [
    mode,
    kind,
    String(bytes),
    modified_at,
    name,
  ]);
  return renderTable(["MODE", "KIND", "BYTES", "MODIFIED", "NAME"], rows, style.dim).join("\n");
}

export function renderTransfer({
  bytes,
  sha256,
}: {
  readonly bytes: number;
  readonly sha256: string;
}): string {
  return `${bytes} bytes, sha256 ${sha256}`;
}

export function renderSnapshots(
  {
    snapshots,
    unavailable,
  }: { readonly snapshots: readonly ShownSnapshot[]; readonly unavailable?: Unavailable },
  style: Style,
): string {
  const missing = renderUnavailable(unavailable, style);
  if (snapshots.length === 0) return ["There are no snapshots.", ...missing].join("\n");
  const head = ["SNAPSHOT", "KIND", "PARENT", "CREATED", "LIVE", "REFERENCES"];
  const rows = snapshots.map(({ id, kind, parent, created_at, live, references }) => [
    id,
    kind,
    parent ?? NOTHING,
    created_at,
    live ? "yes" : "no",
    String(references),
  ]);
  return [...renderTable(head, rows, style.dim), ...missing].join("\n");
}

export function renderForks(
  {
    forks,
    failures,
  }: {
    readonly forks: readonly string[];
    readonly failures: readonly { readonly name: string; readonly message: string }[];
  },
  style: Style,
): string {
  const failed = failures.map(
    ({ name, message }) => `${plainLine(name)} ${style.red("failed")}: ${plainLine(message)}`,
  );
  return [...forks, ...failed].join("\n");
}

export function renderGolden({
  snapshot,
  reused,
}: {
  readonly snapshot: ShownSnapshot;
  readonly reused: boolean;
}): string {
  return `${snapshot.id}${reused ? ", as it was" : ""}`;
}

export function renderSweep(report: ShownSweep, style: Style): string {
  const { dry_run, removed, failed, waiting, pruned } = report;
  const lines = [
    ...removed.map(({ id, what, why, rescued }) => {
      const where = rescued === null ? "" : `; its work is in ${rescued}`;
      return plainLine(`${dry_run ? "Would remove" : "Removed"} ${what} ${id}, ${why}${where}`);
    }),
    ...failed.map(
      ({ id, message }) => `${plainLine(id)} ${style.red("stays")}: ${plainLine(message)}`,
    ),
    ...waiting.map(({ id, since }) => plainLine(`${id} has had no owner since ${since}`)),
    ...pruned.map((what) => plainLine(`${dry_run ? "Would remove" : "Removed"} ${what}, unused`)),
  ];
  return lines.length === 0 ? "There is nothing to sweep." : lines.join("\n");
}

export function renderProbes({ kinds }: ShownProbes, style: Style): string {
  return kinds
    .map(({ kind, isolation, available, details, hint }) => {
      const state = available ? style.green("available") : style.red("missing");
      const next = hint === null ? "" : `\n  ${style.bold("Next:")} ${plainLine(hint)}`;
      return `${style.bold(kind)} ${state}: ${plainLine(details)}\n  isolation: ${isolation}${next}`;
    })
    .join("\n");
}
