import { array, assert, integer, property, string } from "fast-check";
import { expect, test } from "vitest";
import { LINE_CHARACTERS_MAX, makeOutputReader, type OutputReader } from "./output-reader.ts";
import { TEXT_CHARACTERS_MAX } from "./text-pieces.ts";

const REPORT = '{"type":"turn.completed","usage":{"input_tokens":1}}\n';

interface Heard {
  readonly reader: OutputReader;
  readonly said: string[];
  text(): string;
}

/** Texts as they are; `<usage>` and `<broken>` where those came. */
function listen(): Heard {
  const said: string[] = [];
  const reader = makeOutputReader({
    text: (_stream, text) => said.push(text),
    usage: ({ input_tokens }) => said.push(`<usage ${input_tokens}>`),
    broken: () => said.push("<broken>"),
  });
  return { reader, said, text: () => said.join("") };
}

test("text comes out as it went in, whatever pieces it came in", () => {
  const textWithoutReports = string({ unit: "grapheme", maxLength: 300 });
  assert(
    property(textWithoutReports, array(integer({ min: 1, max: 20 })), (text, sizes) => {
      const heard = listen();
      const bytes = Buffer.from(text);
      let at = 0;
      for (const size of [...sizes, bytes.length]) {
        heard.reader.read("stdout", bytes.subarray(at, at + size));
        at += size;
      }
      heard.reader.end();
      expect(heard.text()).toBe(text);
    }),
  );
});

test("reports are found between text, in order, even cut into single bytes", () => {
  const heard = listen();
  for (const byte of Buffer.from(`before\n${REPORT}{"a":1}\nafter${REPORT}${REPORT}`)) {
    heard.reader.read("stdout", Buffer.from([byte]));
  }
  heard.reader.end();
  expect(heard.text()).toBe(`before\n<usage 1>{"a":1}\nafter${REPORT}<usage 1>`);
});

test("a report without a line end at the very end counts", () => {
  const heard = listen();
  heard.reader.read("stdout", Buffer.from(REPORT.trim()));
  heard.reader.end();
  expect(heard.said).toEqual(["<usage 1>"]);
});

test("on the error stream there are no reports", () => {
  const heard = listen();
  heard.reader.read("stderr", Buffer.from(REPORT));
  heard.reader.end();
  expect(heard.said).toEqual([REPORT]);
});

test("a report that cannot be counted is told, and its text too", () => {
  const heard = listen();
  const line = REPORT.replace("1}", "-1}");
  heard.reader.read("stdout", Buffer.from(line));
  expect(heard.said.toSorted()).toEqual(["<broken>", line].toSorted());
});

test("text without a line end is told at once", () => {
  const heard = listen();
  heard.reader.read("stdout", Buffer.from("Continue? "));
  expect(heard.said).toEqual(["Continue? "]);
});

test("a word is told whole, whatever pieces it came in", () => {
  const heard = listen();
  for (const chunk of ["token: se", "cre", "t\nnext", " end"]) {
    heard.reader.read("stdout", Buffer.from(chunk));
  }
  expect(heard.said).toEqual(["token: ", "secret\n", "next "]);
  heard.reader.end();
  expect(heard.said.at(-1)).toBe("end");
});

test("pieces of a long text begin at lines, or at words where there are none", () => {
  for (const [text, start] of [
    ["some words of a line\n".repeat(2_000), /^some/],
    ["word ".repeat(5_000), /^word/],
  ] as const) {
    const heard = listen();
    heard.reader.read("stdout", Buffer.from(text));
    heard.reader.end();
    expect(heard.text()).toBe(text);
    expect(heard.said.length).toBeGreaterThan(1);
    for (const piece of heard.said) expect(piece).toMatch(start);
  }
});

test("a word without end is not waited for", () => {
  const heard = listen();
  for (let count = 0; count < 100; count += 1) {
    heard.reader.read("stdout", Buffer.from("x".repeat(1_000)));
  }
  expect(heard.text().length).toBeGreaterThan(95_000);
  expect(heard.said.every((piece) => piece.length <= TEXT_CHARACTERS_MAX)).toBe(true);
});

test("a chunk becomes few events of bounded size", () => {
  const heard = listen();
  const text = "a line of text {\n".repeat(4_000);
  heard.reader.read("stdout", Buffer.from(text));
  expect(heard.text()).toBe(text);
  expect(heard.said.length).toBeLessThan(12);
  expect(heard.said.every((piece) => piece.length <= TEXT_CHARACTERS_MAX)).toBe(true);
});

test("a line that is too long passes as text, piece by piece", () => {
  const heard = listen();
  const long = `{"type":"item","text":"${"x".repeat(LINE_CHARACTERS_MAX)}"}\n`;
  for (let at = 0; at < long.length; at += 10_000) {
    heard.reader.read("stdout", Buffer.from(long.slice(at, at + 10_000)));
  }
  heard.reader.read("stdout", Buffer.from(REPORT));
  expect(heard.text()).toBe(`${long}<usage 1>`);
});

test("a report that is too long to be read is broken", () => {
  const heard = listen();
  const long = `{"type":"turn.completed","padding":"${"x".repeat(LINE_CHARACTERS_MAX)}"}\n`;
  heard.reader.read("stdout", Buffer.from(long));
  expect(heard.said).toContain("<broken>");
});

test("bytes that are no UTF-8 are replaced, and nothing is lost after them", () => {
  const heard = listen();
  heard.reader.read("stdout", Buffer.from([0x61, 0xff, 0xe2, 0x82]));
  heard.reader.read("stdout", Buffer.from([0xac, 0x0a]));
  heard.reader.read("stdout", Buffer.from(REPORT));
  expect(heard.text()).toBe("a\u{FFFD}€\n<usage 1>");
});
