import assert from "node:assert/strict";
import { test } from "node:test";
import { words } from "../src/words.js";

test("splits a text into its words", () => {
  assert.deepEqual(words("Only proven work lands."), ["Only", "proven", "work", "lands"]);
});

test("keeps an apostrophe inside a word", () => {
  assert.deepEqual(words("it's here"), ["it's", "here"]);
});

test("finds nothing in a text without words", () => {
  assert.deepEqual(words(" … "), []);
});
