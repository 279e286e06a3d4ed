/** A second-level heading with what stands below it, up to the next. */
export interface OutlineSection {
  readonly title: string;
  /** Of the heading, from 1. */
  readonly line: number;
  /** The text of a fenced `yaml` block directly under the heading. */
  readonly fields: { readonly text: string; readonly line: number } | null;
  /** The rest, without blank lines around it. */
  readonly text: string;
}

export interface Outline {
  readonly sections: readonly OutlineSection[];
  /** A fence or comment that is never closed: it would swallow every task after it. */
  readonly unclosed: { readonly what: string; readonly line: number } | null;
}

/**
 * Cuts Markdown into its `## ` sections. Headings inside of fenced blocks and of HTML comments are
 * text. What stands before the first heading belongs to none.
 */
export function readOutline(markdown: string): Outline {
  const lines = markdown.split(/\r?\n/);
  const sections: OutlineSection[] = [];
  let open: OpenBlock | null = null;
  let heading: { readonly title: string; readonly line: number } | null = null;
  let body: string[] = [];
  const finish = (): void => {
    if (heading !== null) sections.push(readSection(heading, body));
  };
  for (const [index, line] of lines.entries()) {
    const title: string | null = open === null ? readHeading(line) : null;
    if (title !== null) {
      finish();
      heading = { title, line: index + 1 };
      body = [];
      continue;
    }
    body.push(line);
    open = open === null ? openBlock(line, index + 1) : open.closes(line) ? null : open;
  }
  finish();
  return { sections, unclosed: open === null ? null : { what: open.what, line: open.line } };
}

interface OpenBlock {
  readonly what: string;
  readonly line: number;
  readonly closes: (line: string) => boolean;
}

function readHeading(line: string): string | null {
  const match = /^ {0,3}##(?:[ \t]+(?<title>.*))?$/.exec(line);
  if (match === null) return null;
  return (match.groups?.["title"] ?? "").replace(/(?:^|[ \t]+)#+[ \t]*$/, "").trim();
}

function openBlock(line: string, number: number): OpenBlock | null {
  const fence = readFence(line);
  if (fence !== null) {
    const { mark } = fence;
    return { what: "fenced block", line: number, closes: (next) => closesFence(next, mark) };
  }
  if (!/^ {0,3}<!--/.test(line) || line.includes("-->")) return null;
  return { what: "comment", line: number, closes: (next) => next.includes("-->") };
}

function readFence(line: string): { readonly mark: string; readonly language: string } | null {
  const match = /^ {0,3}(?<mark>`{3,}(?=[^`]*$)|~{3,})[ \t]*(?<language>[^\s`]*)/.exec(line);
  if (match?.groups === undefined) return null;
  return { mark: match.groups["mark"] ?? "", language: match.groups["language"] ?? "" };
}

function closesFence(line: string, mark: string): boolean {
  const found = /^ {0,3}(?<mark>`{3,}|~{3,})[ \t]*$/.exec(line)?.groups?.["mark"] ?? "";
  return found.length >= mark.length && found[0] === mark[0];
}

function readSection(
  heading: { readonly title: string; readonly line: number },
  body: readonly string[],
): OutlineSection {
  const first = body.findIndex((line) => line.trim() !== "");
  const fence = readFence(body[first] ?? "");
  if (fence === null || !/^ya?ml$/i.test(fence.language)) {
    return { ...heading, fields: null, text: trimBlankLines(body) };
  }
  const length = body.slice(first + 1).findIndex((line) => closesFence(line, fence.mark));
  const end = length === -1 ? body.length : first + 1 + length;
  return {
    ...heading,
    fields: { text: body.slice(first + 1, end).join("\n"), line: heading.line + first + 2 },
    text: trimBlankLines(body.slice(end + 1)),
  };
}

function trimBlankLines(lines: readonly string[]): string {
  return lines
    .join("\n")
    .replace(/^(?:[ \t]*\n)+/, "")
    .trimEnd();
}
