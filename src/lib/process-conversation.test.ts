import { expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { startProcess, type Conversation } from "./process.ts";
import { findProcess } from "./process-table.ts";

function converse(script: string, answerBytesMax = 1_000_000): Conversation {
  return startProcess({
    command: ["/bin/sh", "-c", script],
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
    answerBytesMax,
  });
}

const ECHO = `while read -r line; do echo "you said $line"; echo END; done`;

test("questions are answered up to the sentinel, in the order asked", async () => {
  const talk = converse(ECHO);
  const ask = (input: string) => talk.ask({ input, sentinel: "END", timeoutMs: 10_000 });
  const answers = await Promise.all([ask("one\n"), ask("two\n")]);
  expect(
    answers.map((answer) => (answer.kind === "answered" ? String(answer.bytes) : answer)),
  ).toEqual(["you said one\n", "you said two\n"]);
  await talk.close();
});

test("an answer in many pieces is put together", async () => {
  const talk = converse(
    `read -r line; head -c 500000 /dev/zero; printf 'E'; sleep 0.05; echo ND; cat`,
  );
  const answer = await talk.ask({ input: "go\n", sentinel: "END", timeoutMs: 10_000 });
  expect(answer).toMatchObject({ kind: "answered" });
  expect(answer.kind === "answered" && answer.bytes.length).toBe(500_000);
  await talk.close();
});

test("a question that is not answered in time ends the program and all later questions", async () => {
  const talk = converse(`echo $$; echo END; trap "" TERM; while :; do sleep 0.1; done`);
  const first = await talk.ask({ input: "", sentinel: "END", timeoutMs: 10_000 });
  const pid = first.kind === "answered" ? Number(String(first.bytes)) : 0;
  expect(await talk.ask({ input: "", sentinel: "END", timeoutMs: 50 })).toEqual({
    kind: "timed-out",
  });
  expect(await talk.ask({ input: "", sentinel: "END", timeoutMs: 10_000 })).toEqual({
    kind: "ended",
    message: "an earlier question was not answered in time",
  });
  await talk.close();
  expect(pid).toBeGreaterThan(0);
  expect(findProcess(pid)).toBeNull();
});

test("a program that dies tells its last words instead of an answer", async () => {
  const talk = converse(`read -r line; echo "cannot go on" >&2; exit 3`);
  expect(await talk.ask({ input: "hello\n", sentinel: "END", timeoutMs: 10_000 })).toEqual({
    kind: "ended",
    message: "/bin/sh ended (exit code 3): cannot go on",
  });
  await talk.close();
});

test("a program that cannot be started says so to every question", async () => {
  const talk = startProcess({ command: ["/no/such"], cwd: "/", env: {}, answerBytesMax: 10 });
  const question = { input: "", sentinel: "END", timeoutMs: 10_000 };
  const answer = { kind: "ended", message: "cannot start /no/such: no such program" };
  expect(await talk.ask(question)).toEqual(answer);
  expect(await talk.ask(question)).toEqual(answer);
  await talk.close();
});

test("an answer without end is cut off", async () => {
  const talk = converse("yes", 10_000);
  expect(await talk.ask({ input: "", sentinel: "END", timeoutMs: 10_000 })).toEqual({
    kind: "ended",
    message: "an answer grew beyond 10000 bytes",
  });
  await talk.close();
});

test("closing ends the program and may be done twice", async () => {
  const talk = converse(`echo $$; echo END; cat; echo bye`);
  const first = await talk.ask({ input: "", sentinel: "END", timeoutMs: 10_000 });
  const pid = first.kind === "answered" ? Number(String(first.bytes)) : 0;
  await Promise.all([talk.close(), talk.close()]);
  await eventually("the program ended", () => findProcess(pid) === null);
  expect(await talk.ask({ input: "", sentinel: "END", timeoutMs: 10_000 })).toEqual({
    kind: "ended",
    message: "the conversation was closed",
  });
});
