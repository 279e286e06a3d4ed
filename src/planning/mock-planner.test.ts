import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { createMockPlanner, type MockReply } from "./mock-planner.ts";

const NOTHING: MockReply = { mockLlmOutputPath: null, mockLlmOutput: null };

function propose(reply: Partial<MockReply>) {
  return createMockPlanner({ ...NOTHING, ...reply }).propose({
    plan: "anything",
    planPath: "/plan.md",
    files: [],
    resources: [],
    doctor: "true",
    lint: null,
    signal: new AbortController().signal,
  });
}

test("replies what stands in the file, as it is when it is asked", async () => {
  await using folder = await temporaryFolder();
  const mockLlmOutputPath = join(folder.path, "reply.json");
  await writeFile(mockLlmOutputPath, '{"tasks": []}');
  expect(await propose({ mockLlmOutputPath })).toEqual({ ok: true, value: { tasks: [] } });
});

test("an inline reply wins over the file", async () => {
  const reply = await propose({ mockLlmOutputPath: "/nowhere", mockLlmOutput: "[1]" });
  expect(reply).toEqual({ ok: true, value: [1] });
});

test.each<[string, Partial<MockReply>, RegExp]>([
  ["nothing is set", {}, /nothing to reply/],
  [
    "the file is missing",
    { mockLlmOutputPath: "/nowhere/reply" },
    /\/nowhere\/reply does not exist/,
  ],
  ["the file is a folder", { mockLlmOutputPath: "/" }, /is a folder/],
  ["the reply is no JSON", { mockLlmOutput: "Sure! Here are" }, /MOCK_LLM_OUTPUT is not JSON/],
])("fails as a value when %s", async (_, reply, message) => {
  expect(await propose(reply)).toMatchObject({
    ok: false,
    failure: {
      code: "planner-failed",
      message: expect.stringMatching(message),
      hint: expect.stringContaining("MOCK_LLM_OUTPUT_PATH"),
    },
  });
});
