import { startProcess, type Conversation } from "../lib/process.ts";
import { gitFailed } from "./git-failed.ts";

export interface GitQuestion {
  /** Lines, with their line ends. */
  readonly input: string;
  /**
   * The line by which the answer's end is known. It must not occur in what the answer holds: put the
   * id of the object into it, because no object can contain its own id.
   */
  readonly sentinel: string;
}

/** A long-lived git that answers questions one at a time, and is started again where it has died. */
export interface GitConversation {
  /** What came before the sentinel. Refuses with `git-failed` where git dies of the question. */
  ask(question: GitQuestion): Promise<Buffer>;
  /** Ends git. A later question starts it again. May be called twice. */
  close(): Promise<void>;
}

export interface ConversationOptions {
  readonly args: readonly string[];
  readonly start: () => {
    readonly command: readonly [string, ...string[]];
    readonly cwd: string;
    readonly env: Readonly<Record<string, string>>;
  };
}

const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const ANSWER_TIMEOUT_MS = 60_000;
/** A git that died between two questions (killed from outside) is not the question's fault. */
const TRIES_MAX = 2;

export function startConversation({ args, start }: ConversationOptions): GitConversation {
  let current: Conversation | null = null;
  let last: Promise<unknown> = Promise.resolve();

  async function end(): Promise<void> {
    const ended = current;
    current = null;
    await ended?.close();
  }

  async function askNow(question: GitQuestion): Promise<Buffer> {
    let what = "";
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      current ??= startProcess({ ...start(), answerBytesMax: ANSWER_BYTES_MAX });
      const answer = await current.ask({ ...question, timeoutMs: ANSWER_TIMEOUT_MS });
      if (answer.kind === "answered") return answer.bytes;
      await end();
      if (answer.kind === "timed-out") {
        throw gitFailed(args, { what: `did not answer within ${ANSWER_TIMEOUT_MS / 1000} s` });
      }
      what = `could not answer: ${answer.message}`;
    }
    throw gitFailed(args, { what });
  }

  return {
    ask: (question) => {
      const answer = last.then(() => askNow(question));
      last = answer.catch(() => undefined);
      return answer;
    },
    close: () => {
      const closed = last.then(end);
      last = closed;
      return closed;
    },
  };
}
