import fc from "fast-check";
import { expect, test } from "vitest";
import { makeRedactor, REDACTED } from "./redact.ts";

const secretText = fc
  .string({ minLength: 8, maxLength: 60, unit: "binary" })
  .filter((text) => text.isWellFormed() && !/[[\]]/.test(text) && !REDACTED.includes(text));

test("no known secret survives, wherever it stands and however often", () => {
  fc.assert(
    fc.property(
      fc.array(secretText, { minLength: 1, maxLength: 5 }),
      fc.array(fc.string({ maxLength: 30 }), { minLength: 1, maxLength: 10 }),
      (secrets, around) => {
        const text = around
          .map((piece, at) => piece + (secrets[at % secrets.length] ?? ""))
          .join("");
        const redacted = makeRedactor(secrets)(text);
        for (const secret of secrets) expect(redacted).not.toContain(secret);
      },
    ),
  );
});

test("nothing of two overlapping secrets is left", () => {
  const redact = makeRedactor(["abcdefgh-shared", "shared-12345678"]);
  expect(redact("x abcdefgh-shared-12345678 y")).toBe(`x ${REDACTED} y`);
});

test("a secret is found URL-encoded, in JSON, and in base64 at every alignment", () => {
  const secret = 'p@ss "word"/with+signs';
  const redact = makeRedactor([secret]);
  expect(redact(`https://host/?key=${encodeURIComponent(secret)}&x=1`)).toBe(
    `https://host/?key=${REDACTED}&x=1`,
  );
  expect(redact(JSON.stringify({ secret }))).toBe(`{"secret":"${REDACTED}"}`);
  for (const user of ["", "a", "ab", "abc", "user:"]) {
    for (const encoding of ["base64", "base64url"] as const) {
      const header = Buffer.from(user + secret).toString(encoding);
      expect(redact(`Basic ${header}`)).toMatch(/^Basic .{0,7}\[redacted\].{0,4}$/);
    }
  }
});

test("values too short to be secrets are left alone", () => {
  expect(makeRedactor(["true", "1234567", ""])("true 1234567")).toBe("true 1234567");
});

const letters = "Zz0Yy1Xx2Ww3Vv4Uu5Tt6Ss7Rr8Qq9Pp0Oo1Nn2";
const shapes = {
  "an Anthropic key": `sk-ant-api03-${letters}`,
  "an OpenAI key": `sk-proj-${letters}`,
  "a GitHub token": `ghp_${letters.slice(0, 36)}`,
  "a GitHub OAuth token": `gho_${letters.slice(0, 36)}`,
  "a fine-grained GitHub token": `github_pat_${letters}_${letters}`,
  "an AWS key id": "AKIAIOSFODNN7EXAMPLE",
  "a Slack token": `xoxb-12345678901-${letters.slice(0, 20)}`,
  "an npm token": `npm_${letters.slice(0, 36)}`,
  "a private key": [
    "-----BEGIN RSA PRIVATE KEY-----",
    "Proc-Type: 4,ENCRYPTED",
    "DEK-Info: AES-256-CBC,0123456789ABCDEF",
    "",
    "MIIEowIBAAKCAQEAwJ8+/x==",
    "-----END RSA PRIVATE KEY-----",
  ].join("\n"),
} as const;

test.each(Object.entries(shapes))("%s is known by its shape", (_name, key) => {
  expect(makeRedactor([])(`before ${key} after`)).toBe(`before ${REDACTED} after`);
});

test("a bearer token goes, the word before it stays", () => {
  const redact = makeRedactor([]);
  expect(redact(`authorization: Bearer ${letters}`)).toBe(`authorization: Bearer ${REDACTED}`);
  expect(redact("uses bearer authentication")).toBe("uses bearer authentication");
});

test("a private key that is cut off is taken out as far as it goes", () => {
  const cut = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQ";
  expect(makeRedactor([])(cut)).toBe(REDACTED);
});

test("ordinary text and code stay as they are", () => {
  const text =
    "task-with-a-very-long-kebab-case-name risk-assessment npm_config_cache xoxo ghp_short";
  expect(makeRedactor(["hunter2-hunter2"])(text)).toBe(text);
});
