import { Refusal } from "../../domain/failure.ts";
import { readSkill, skillFile } from "../skill.ts";
import { changeFile, planChange, type FileChange, type FileState } from "./change-file.ts";
import {
  CLIENTS,
  placesOf,
  type ClientMachine,
  type ClientName,
  type ClientPlaces,
  type ClientScope,
} from "./client.ts";
import { editServers } from "./edit-servers.ts";
import { entryFor, snippetFor, type ServerCommand } from "./server-entry.ts";

export interface InstallRequest {
  readonly client: ClientName;
  readonly scope: ClientScope;
  /** Of the server in the client's configuration. */
  readonly name: string;
  readonly server: ServerCommand;
  /** Whether files are changed; otherwise it is only told what would stand in them. */
  readonly write: boolean;
  readonly withSkill: boolean;
  /** Replace an entry of that name, or a skill, that says something else. */
  readonly force: boolean;
  readonly machine: ClientMachine;
}

/** `printed`: nothing was done with the file. */
export type InstallState = FileState | "printed";

export interface InstallReport {
  /** The client's configuration file, absolute. */
  readonly file: string;
  readonly state: InstallState;
  /** What tells the client of the server, in its own format. */
  readonly snippet: string;
  readonly skill: { readonly file: string; readonly state: InstallState } | null;
}

/** A person's own configuration may hold keys of other servers. */
const OWN_MODE = 0o600;

/**
 * Tells a client of the server, or says what would. What can be refused is, before anything is
 * written. Throws `usage`, `config-invalid` or `config-exists`.
 */
export async function installClient(request: InstallRequest): Promise<InstallReport> {
  const { client, name, server, write, withSkill } = request;
  const places = requirePlaces(request);
  const file = places.config;
  const skill = withSkill ? skillFile(requireSkills(request, places)) : null;
  const snippet = snippetFor(CLIENTS[client], name, server);
  if (!write) {
    const state = "printed";
    return { file, state, snippet, skill: skill === null ? null : { file: skill, state } };
  }
  const config = configChange(request, file);
  if (skill === null) return { file, state: await changeFile(config), snippet, skill: null };
  const document = skillChange(request, { file: skill, text: await readSkill() });
  await planChange(config);
  await planChange(document);
  const state = await changeFile(config);
  return { file, state, snippet, skill: { file: skill, state: await changeFile(document) } };
}

function requirePlaces({ client, scope, machine }: InstallRequest): ClientPlaces {
  const places = placesOf(client, scope, machine);
  if (places !== null) return places;
  throw new Refusal("usage", `${CLIENTS[client].title} has no configuration of a ${scope}`, {
    hint: "use `--scope user`",
  });
}

function requireSkills({ client }: InstallRequest, { skills }: ClientPlaces): string {
  if (skills !== null) return skills;
  throw new Refusal("usage", `${CLIENTS[client].title} reads no skills from a folder`, {
    hint: "leave --skill out; `mycelium mcp skill` prints the document, to be added by hand",
  });
}

function configChange(request: InstallRequest, file: string): FileChange {
  const { client, scope, name, server, force } = request;
  const { title, format, key } = CLIENTS[client];
  if (format === "toml") {
    throw new Refusal("usage", `${title} keeps its servers in TOML, which is only printed`, {
      hint: `leave --write out, and put what is printed into ${file}`,
    });
  }
  const edit: FileChange["edit"] = (text) => {
    const wanted = { key, name, entry: entryFor(CLIENTS[client], server), force };
    const edited = editServers(text ?? "", wanted);
    switch (edited.kind) {
      case "same":
        return { text: text ?? "", state: "unchanged" };
      case "edited":
        return { text: edited.text, state: edited.replaced ? "replaced" : "written" };
      case "differs":
        throw new Refusal("config-exists", `${file} has another server called ${name}`, {
          hint: "replace it with --force, or choose another --name",
          details: { path: file },
        });
      case "refused":
        throw new Refusal("config-invalid", `${file} ${edited.why}`, {
          hint: "correct it, or leave --write out and put what is printed into it by hand",
          details: { path: file },
        });
    }
  };
  return { file, newMode: scope === "user" ? OWN_MODE : undefined, edit };
}

interface SkillDocument {
  readonly file: string;
  readonly text: string;
}

function skillChange({ force }: InstallRequest, { file, text: wanted }: SkillDocument): FileChange {
  const edit: FileChange["edit"] = (text) => {
    if (text === wanted) return { text, state: "unchanged" };
    if (text === null) return { text: wanted, state: "written" };
    if (force) return { text: wanted, state: "replaced" };
    throw new Refusal("config-exists", `${file} is there and says something else`, {
      hint: "replace it with --force, or leave --skill out",
      details: { path: file },
    });
  };
  return { file, newMode: undefined, edit };
}
