/**
 * Escape sequences as terminals read them: those with a string up to its end (a title, a link),
 * which is over with the line at the latest; those with parameters; and the short ones.
 */
const ESCAPE_SEQUENCES =
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  /(?:\u001b[\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\u001b\u009c\n]*(?:\u0007|\u001b\\|\u009c)?|(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|\u001b[ -/]*[0-~]/g;

/** Everything else that moves the cursor, hides text or turns it round, but not tab and line feed. */
const CONTROLS =
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]/g;

/**
 * Text of agents and repositories, fit for a terminal: nothing in it can move the cursor, change
 * colours or titles, or reverse what stands around it.
 */
export function plainText(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(ESCAPE_SEQUENCES, "").replace(CONTROLS, "");
}

/** The same on one line. */
export function plainLine(text: string): string {
  return plainText(text).replaceAll(/[\t\n]+/g, " ");
}

/** An object on one line for programs, which may end up on a terminal all the same. */
export function jsonLine(value: object): string {
  return JSON.stringify(value).replace(CONTROLS, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** Cut to a number of characters, with a sign that it was. */
export function cut(text: string, lengthMax: number): string {
  const characters = Array.from(text);
  return characters.length <= lengthMax
    ? text
    : `${characters.slice(0, Math.max(0, lengthMax - 1)).join("")}…`;
}
