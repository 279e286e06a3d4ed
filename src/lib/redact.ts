/** Takes secrets out of a text. */
export type Redactor = (text: string) => string;

/** What stands in a secret's place. */
export const REDACTED = "[redacted]";

/** Shorter values are words, numbers and paths more often than secrets, and are left alone. */
export const SECRET_LENGTH_MIN = 8;

/**
 * Makes a redactor for known secret values (also URL-encoded, in JSON, and in base64 wherever they
 * stand in what was encoded) and for the shapes of common keys. A secret that is split over lines
 * or over two texts is not found.
 *
 * Takes time in proportion to the text, whatever is in it.
 */
export function makeRedactor(secrets: readonly string[]): Redactor {
  const forms = distinctForms(secrets);
  return (text) => {
    const spans = [...findForms(text, forms), ...findShapes(text)];
    return spans.length === 0 ? text : replaceSpans(text, spans);
  };
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * Each matches in one pass: whatever repeats without a bound is the last thing in its pattern, or
 * is followed by what may be missing, so that no start has to be tried twice.
 */
const KEY_SHAPES: readonly RegExp[] = [
  /(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{20,}/g,
  /gh[pousr]_[A-Za-z0-9]{20,}/g,
  /github_pat_[A-Za-z0-9_]{20,}/g,
  /(?<![A-Z0-9])(?:AKIA|ASIA)[0-9A-Z]{16}/g,
  /xox[a-z]-[A-Za-z0-9-]{10,}/g,
  /npm_[A-Za-z0-9]{30,}/g,
  /AIza[0-9A-Za-z_-]{35}/g,
  /(?<=\bbearer[\t ]{1,8})[A-Za-z0-9._~+/=-]{16,}/gi,
  /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?:[A-Za-z0-9+/=\s\\:,-]*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|[A-Za-z0-9+/=\s\\:,-]*)/g,
];

function findShapes(text: string): readonly Span[] {
  return KEY_SHAPES.flatMap((shape) =>
    [...text.matchAll(shape)].map(({ index, 0: match }) => ({
      start: index,
      end: index + match.length,
    })),
  );
}

function findForms(text: string, forms: readonly string[]): readonly Span[] {
  const spans: Span[] = [];
  for (const form of forms) {
    for (let start = text.indexOf(form); start !== -1; start = text.indexOf(form, start + 1)) {
      spans.push({ start, end: start + form.length });
    }
  }
  return spans;
}

/** Overlapping finds become one, so that nothing of the shorter one is left. */
function replaceSpans(text: string, spans: readonly Span[]): string {
  let result = "";
  let position = 0;
  let isOpen = false;
  for (const { start, end } of spans.toSorted((left, right) => left.start - right.start)) {
    if (!isOpen || start > position) {
      result += text.slice(position, start) + REDACTED;
      isOpen = true;
    }
    position = Math.max(position, end);
  }
  return result + text.slice(position);
}

function distinctForms(secrets: readonly string[]): readonly string[] {
  const forms = new Set<string>();
  for (const secret of secrets) {
    if (secret.length < SECRET_LENGTH_MIN) continue;
    for (const form of formsOf(secret)) {
      if (form.length >= SECRET_LENGTH_MIN && !REDACTED.includes(form)) forms.add(form);
    }
  }
  return [...forms].toSorted((left, right) => right.length - left.length);
}

function formsOf(secret: string): readonly string[] {
  const encoded = [0, 1, 2].map((offset) => base64At(secret, offset));
  return [
    secret,
    encodeURIComponent(secret.toWellFormed()),
    JSON.stringify(secret).slice(1, -1),
    ...encoded,
    ...encoded.map((form) => form.replaceAll("+", "-").replaceAll("/", "_")),
  ];
}

/** Bytes share characters with their neighbours in base64: only those that are the secret's alone. */
function base64At(secret: string, offset: number): string {
  const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret, "utf8")]);
  const first = Math.ceil((offset * 8) / 6);
  const last = Math.floor((bytes.length * 8) / 6);
  return bytes.toString("base64").slice(first, last);
}
