export type Paint = (text: string) => string;

/** Colours where they are wanted, nothing where they are not. Text must be plain already. */
export interface Style {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
}

const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
} as const;

export function makeStyle(hasColor: boolean): Style {
  const paint = ([on, off]: readonly [number, number]) =>
    hasColor
      ? (text: string): string => `\u001b[${on}m${text}\u001b[${off}m`
      : (text: string): string => text;
  return {
    bold: paint(CODES.bold),
    dim: paint(CODES.dim),
    red: paint(CODES.red),
    green: paint(CODES.green),
    yellow: paint(CODES.yellow),
  };
}

/** The colour of a state of a run or a task, or of a gate's answer. */
export function paintState(style: Style, state: string, text: string): string {
  switch (state) {
    case "complete":
    case "validated":
    case "pass":
      return style.green(text);
    case "failed":
    case "fail":
    case "fails-on-base-too":
    case "could-not-run":
      return style.red(text);
    case "paused":
    case "needs_human_review":
    case "skipped":
      return style.yellow(text);
    default:
      return text;
  }
}
