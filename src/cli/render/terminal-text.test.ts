import fc from "fast-check";
import { expect, test } from "vitest";
import { cut, plainLine, plainText } from "./terminal-text.ts";

test.each([
  ["\u001b[31mred\u001b[0m", "red"],
  ["\u001b[2J\u001b[1;1Htop", "top"],
  ["\u009b31mred", "red"],
  ["\u001b]0;title\u0007text", "text"],
  ["\u001b]8;;https://example.invalid\u001b\\link\u001b]8;;\u001b\\", "link"],
  ["\u009d0;title\u009ctext", "text"],
  ["\u001bPdevice control\u001b\\text", "text"],
  ["\u001b]0;never ended\nnext line", "\nnext line"],
  ["\u001b(Btext\u001b7\u001bc", "text"],
  ["progress 10%\rprogress 99%\r\n", "progress 10%progress 99%\n"],
  ["a\bb\u0000c\u007f\u0085d", "abcd"],
  ["evil\u202etxt.exe\u2066\u2069", "eviltxt.exe"],
  ["tab\tand\nline stay, and é, 漢字 and 🎉", "tab\tand\nline stay, and é, 漢字 and 🎉"],
])("%j becomes %j", (text, plain) => {
  expect(plainText(text)).toBe(plain);
});

test("whatever comes in, nothing that a terminal would obey comes out", () => {
  const pieces = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("\u001b", "[", "]", "\u009b", "\u0007", "\\", "0;", "m", "\r", "\n", "P"),
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
      expect(plainText(parts.join(""))).not.toMatch(
        /(?![\t\n])[\p{Cc}\u202a-\u202e\u2066-\u2069]/u,
      );
      expect(plainLine(parts.join(""))).not.toMatch(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
    }),
  );
});

test("a long text is cut with a sign of it, a short one is not", () => {
  expect(cut("🎉🎉🎉", 3)).toBe("🎉🎉🎉");
  expect(cut("🎉🎉🎉🎉", 3)).toBe("🎉🎉…");
});
