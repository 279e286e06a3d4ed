import { expect, test } from "vitest";
import { endOfText, withoutFirstWord } from "./end-of-text.ts";

test("a text that fits is left as it is", () => {
  expect(endOfText("one two", 7)).toBe("one two");
});

test("a longer one is cut where a word begins", () => {
  expect(endOfText("one two three", 9)).toBe("two three");
  expect(endOfText("one two three", 8)).toBe("three");
  expect(endOfText("one two three", 10)).toBe("two three");
  expect(endOfText("one\ntwo", 5)).toBe("two");
});

test("a word beyond bounds is cut all the same", () => {
  const text = "x".repeat(10_000);
  expect(endOfText(text, 5_000)).toHaveLength(5_000);
  expect(withoutFirstWord(text)).toBe(text);
});

test("white space is a beginning too", () => {
  expect(withoutFirstWord("rest of it")).toBe("of it");
  expect(withoutFirstWord(" it")).toBe("it");
  expect(withoutFirstWord("")).toBe("");
});
