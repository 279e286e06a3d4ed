import { describe, expect, test } from "vitest";
import { editServers, type ServersEdit } from "./edit-servers.ts";

const entry = { command: "node", args: ["mycelium.js", "mcp"] };
const edit: ServersEdit = { key: "servers", name: "mycelium", entry, force: false };

/** Requires that it is edited, and answers the text. */
function edited(text: string, wanted: ServersEdit = edit): string {
  const result = editServers(text, wanted);
  if (result.kind !== "edited") throw new Error(`not edited: ${JSON.stringify(result)}`);
  return result.text;
}

describe("a server is put into a client's file", () => {
  test("that is new or empty", () => {
    const written = edited("");
    expect(JSON.parse(written)).toEqual({ servers: { mycelium: entry } });
    expect(written.endsWith("}\n")).toBe(true);
    expect(edited(" \n")).toBe(written);
  });

  test("with comments, tabs, other entries and a comma at the end, which all stay", () => {
    const before = [
      "// mine",
      "{",
      '\t"inputs": [], /* asked for, once */',
      '\t"servers": {',
      "\t\t// not to be touched",
      '\t\t"other": {"url": "http://x", "n": 1.50}, // keeps its place',
      "\t},",
      "}",
      "",
    ];
    const own = [
      '\t\t"mycelium": {',
      '\t\t\t"command": "node",',
      '\t\t\t"args": [',
      '\t\t\t\t"mycelium.js",',
      '\t\t\t\t"mcp"',
      "\t\t\t]",
      "\t\t},",
    ];
    const after = [...before.slice(0, 6), ...own, ...before.slice(6)];
    expect(edited(before.join("\n"))).toBe(after.join("\n"));
  });

  test("after an entry without a comma, behind whose comment it does not slip", () => {
    const before = '{\n  "servers": {\n    "a": 1 // one, and no more\n  }\n}\n';
    const after = edited(before);
    expect(after).toMatch(/^\{\n {2}"servers": \{\n {4}"a": 1, \/\/ one, and no more\n {4}"myc/);
    expect(after).toMatch(/\n {4}\}\n {2}\}\n\}\n$/);
  });

  test.each([
    ["nothing", "{}", { servers: { mycelium: entry } }],
    ["one line", '{"a":{"b":[1,2]}}', { a: { b: [1, 2] }, servers: { mycelium: entry } }],
    ["no servers", '{"servers":{}}', { servers: { mycelium: entry } }],
    [
      "others on its line",
      '{"z": 1, "servers": {"a": {}}}',
      { z: 1, servers: { a: {}, mycelium: entry } },
    ],
    [
      "keys that objects inherit",
      '{"__proto__": {"x": 1}, "servers": {"constructor": {}}}',
      JSON.parse(
        `{"__proto__": {"x": 1}, "servers": {"constructor": {}, "mycelium": ${JSON.stringify(entry)}}}`,
      ) as object,
    ],
  ])("with %s", (_, before, after) => {
    const text = edited(before);
    expect(JSON.stringify(JSON.parse(text))).toBe(JSON.stringify(after));
    // What was there is there to the byte, around what was added.
    expect(text.startsWith(before.slice(0, before.lastIndexOf("}") - 1).replace(/\}*$/, ""))).toBe(
      true,
    );
  });

  test("whose lines end as those of Windows", () => {
    const text = edited('{\r\n  "servers": {\r\n  }\r\n}\r\n');
    expect(text.replaceAll("\r\n", "")).not.toContain("\n");
    expect(JSON.parse(text)).toEqual({ servers: { mycelium: entry } });
  });

  test("of one that has the same there already, in whatever order and layout", () => {
    const there = '{"servers": {"mycelium": {"args": ["mycelium.js", "mcp"], "command": "node"}}}';
    expect(editServers(there, edit)).toEqual({ kind: "same" });
    expect(editServers(edited("{}"), edit)).toEqual({ kind: "same" });
  });
});

test("an entry that says something else is replaced when forced, and only that", () => {
  const head = '{\n  "servers": {\n    "mycelium": ';
  const tail = ', // of old\n    "b": {} }, "c": 2\n}';
  const before = `${head}{ "env": {"KEY": "secret"} }${tail}`;
  expect(editServers(before, edit)).toEqual({ kind: "differs" });
  const forced = editServers(before, { ...edit, force: true });
  expect(forced).toMatchObject({ kind: "edited", replaced: true });
  const { text } = forced as { readonly text: string };
  expect(text.startsWith(head) && text.endsWith(tail)).toBe(true);
  const value = text.slice(head.length, -tail.length);
  expect(JSON.parse(value)).toEqual(entry);
});

test.each([
  ["{ bad", /^is not JSON: \w+ on line 1$/],
  ['{\n"servers": {}\n"a": 1}', /^is not JSON: \w+ on line 3$/],
  ["[]", /^holds no JSON object$/],
  ["null", /^holds no JSON object$/],
  ['{"servers": []}', /^holds something else than an object as "servers"$/],
  ['{"servers": null}', /^holds something else than an object as "servers"$/],
  ['{"servers": {}, "servers": {}}', /^holds "servers" twice$/],
  ['{"servers": {"mycelium": 1, "mycelium": 2}}', /^holds the server "mycelium" twice$/],
])("%j is refused, even by force", (text, why) => {
  const result = editServers(text, { ...edit, force: true });
  expect(result.kind).toBe("refused");
  expect((result as { readonly why: string }).why).toMatch(why);
});
