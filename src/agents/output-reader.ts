import { StringDecoder } from "node:string_decoder";
import type { Usage } from "../domain/usage.ts";
import { lengthOfWholeWords, piecesOf, TEXT_CHARACTERS_MAX } from "./text-pieces.ts";
import { isMeantAsReport, readUsageLine } from "./usage-line.ts";

type OutputStream = "stdout" | "stderr";

export interface OutputSink {
  text(stream: OutputStream, text: string): void;
  usage(usage: Usage): void;
  /** A report of usage that cannot be counted. */
  broken(message: string): void;
}

/** Turns output, in whatever pieces it comes, into text and reports of usage. */
export interface OutputReader {
  read(stream: OutputStream, chunk: Buffer): void;
  /** Tells what is left of the last lines. */
  end(): void;
}

/** A longer line is passed on as text and not looked into. */
export const LINE_CHARACTERS_MAX = 65_536;

const NO_REPORT = { kind: "none" } as const;

/**
 * The beginning of a word waits for the rest of it up to this length: a secret that came in two
 * texts would be found in neither.
 */
const HELD_WORD_CHARACTERS_MAX = 1_024;

/**
 * Lines of the standard output that report usage become that; all else becomes text in few pieces
 * of whole words, as soon as it comes. Bytes that are no UTF-8 become U+FFFD.
 */
export function makeOutputReader(sink: OutputSink): OutputReader {
  const streams = { stdout: makeStream("stdout", sink), stderr: makeStream("stderr", sink) };
  return {
    read: (stream, chunk) => streams[stream].read(chunk),
    end: () => {
      streams.stdout.end();
      streams.stderr.end();
    },
  };
}

interface StreamReader {
  read(chunk: Buffer): void;
  end(): void;
}

function makeStream(stream: OutputStream, sink: OutputSink): StreamReader {
  const decoder = new StringDecoder("utf8");
  const batch = makeBatch((text) => sink.text(stream, text));
  /** The beginning of a line that may become a report. */
  let held = "";
  /** Whether the beginning of the line was passed on already. */
  let isInsideText = false;

  const passOn = (text: string): void => {
    batch.add(text);
    held = "";
  };
  const isTooLong = (line: string): boolean => {
    if (line.length <= LINE_CHARACTERS_MAX) return false;
    if (isMeantAsReport(line)) sink.broken(`a turn.completed line has ${line.length} characters`);
    return true;
  };
  const endLine = (line: string): void => {
    const report = isInsideText || isTooLong(line) ? NO_REPORT : readUsageLine(line);
    isInsideText = false;
    if (report.kind !== "usage") passOn(line);
    if (report.kind === "none") return;
    held = "";
    batch.flush();
    if (report.kind === "usage") sink.usage(report.usage);
    else sink.broken(report.message);
  };
  const take = (text: string): void => {
    let start = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
      endLine(held + text.slice(start, end + 1));
      start = end + 1;
    }
    held += text.slice(start);
    // Only what may still become a report is worth waiting for; a prompt should be seen at once.
    if (isInsideText || !/^\s*(?:\{|$)/.test(held) || isTooLong(held)) {
      isInsideText ||= held !== "";
      passOn(held);
    }
  };
  /** Most output holds no report, and a flood of it must not be looked at line by line. */
  const isPlain = (text: string): boolean =>
    stream === "stderr" || (held === "" && !text.includes("{"));
  return {
    read(chunk) {
      const text = decoder.write(chunk);
      if (isPlain(text)) {
        passOn(text);
        if (text !== "") isInsideText = !text.endsWith("\n");
      } else {
        take(text);
      }
      batch.flush();
    },
    end() {
      const rest = held + decoder.end();
      if (rest !== "") endLine(rest);
      batch.end();
    },
  };
}

interface Batch {
  add(text: string): void;
  /** Passes on all but the beginning of a word. */
  flush(): void;
  end(): void;
}

function makeBatch(emit: (text: string) => void): Batch {
  let collected = "";
  const passOn = (length: number): void => {
    for (const piece of piecesOf(collected.slice(0, length))) emit(piece);
    collected = collected.slice(length);
  };
  const flush = (): void => {
    const whole = lengthOfWholeWords(collected);
    const isHoldable = collected.length - whole <= HELD_WORD_CHARACTERS_MAX;
    passOn(isHoldable ? whole : collected.length);
  };
  return {
    flush,
    end: () => passOn(collected.length),
    add(text) {
      if (collected.length + text.length > TEXT_CHARACTERS_MAX) flush();
      collected += text;
    },
  };
}
