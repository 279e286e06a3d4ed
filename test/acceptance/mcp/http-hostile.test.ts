import { readdirSync, readFileSync, mkdirSync, writeFileSync, existsSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeSandbox, type Sandbox } from "../../support/cli.ts";
import { connectHttp, serveHttp } from "../../support/http-mcp.ts";
import { becomes } from "./driver.ts";

const TOKENS = ["first-token-0123456789abcdef", "second-token-0123456789abcdef"] as const;
const LIST = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';

interface Answer {
  /** 0 where nothing was answered. */
  readonly status: number;
  readonly body: string;
}

/** Says just this, and nothing more, and hears what comes until the other side is done. */
function say(url: URL, text: string, onOpen: (socket: Socket) => void = () => undefined) {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  let heard = "";
  const socket = connect(Number(url.port), "127.0.0.1", () => {
    socket.write(text);
    onOpen(socket);
  });
  socket.on("data", (chunk) => (heard += chunk.toString()));
  socket.on("error", () => undefined);
  socket.on("close", () => {
    const [head = "", body = ""] = heard.split("\r\n\r\n", 2);
    resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0), body });
  });
  return promise;
}

interface Lines {
  readonly target?: string;
  readonly method?: string;
  readonly host?: string | null;
  readonly headers?: readonly string[];
  readonly body?: string;
}

function request(url: URL, lines: Lines): string {
  const { target = "/mcp", method = "POST", host = url.host, headers = [], body = LIST } = lines;
  const all = [
    `${method} ${target} HTTP/1.1`,
    ...(host === null ? [] : [`Host: ${host}`]),
    "Content-Type: application/json",
    "Accept: application/json, text/event-stream",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
    ...headers,
  ];
  return `${all.join("\r\n")}\r\n\r\n${body}`;
}

const authorized = `Authorization: Bearer ${TOKENS[0]}`;

async function served(sandbox: Sandbox, policy = "") {
  mkdirSync(sandbox.home, { recursive: true });
  writeFileSync(join(sandbox.home, "sessions.yaml"), policy);
  const file = join(sandbox.repository.folder, "tokens");
  writeFileSync(file, TOKENS.join("\n"));
  return serveHttp(sandbox, ["--token-file", file]);
}

/** As every refusal is told. */
function expectProblem({ body }: Answer, code: string): void {
  expect(JSON.parse(body)).toEqual({
    error: {
      code,
      message: expect.any(String),
      details: {},
      correlation_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    },
  });
}

const REFUSED: readonly (readonly [string, Lines, number, string])[] = [
  ["a name that a web page has made point here", { host: "evil.example" }, 403, "forbidden"],
  ["a name that only begins as ours", { host: "localhost.evil.example" }, 403, "forbidden"],
  ["a name that only ends as ours", { host: "evil.localhost" }, 403, "forbidden"],
  ["an address with a user before it", { host: "evil.example@127.0.0.1" }, 403, "forbidden"],
  ["an address of its own kind", { host: "127.0.0.1.nip.example" }, 403, "forbidden"],
  ["a number that means loopback", { host: "2130706433" }, 403, "forbidden"],
  ["an empty name", { host: "" }, 403, "forbidden"],
  ["a page of another site", { headers: ["Origin: https://evil.example"] }, 403, "forbidden"],
  [
    "a page whose site begins as ours",
    { headers: ["Origin: http://localhost.evil"] },
    403,
    "forbidden",
  ],
  ["a page of nowhere", { headers: ["Origin: null"] }, 403, "forbidden"],
  ["a file", { headers: ["Origin: file://"] }, 403, "forbidden"],
  [
    "a site with a user before it",
    { headers: ["Origin: http://localhost@evil.example"] },
    403,
    "forbidden",
  ],
  [
    "two origins",
    { headers: ["Origin: http://localhost", "Origin: http://evil"] },
    403,
    "forbidden",
  ],
  ["the whole address of another", { target: "http://evil.example/mcp" }, 400, "bad-request"],
  ["a path that is not there", { target: "/mcp/../../etc/passwd" }, 404, "not-found"],
  ["a method that nobody needs", { method: "PUT" }, 405, "method-not-allowed"],
  ["a compressed body", { headers: ["Content-Encoding: gzip"] }, 415, "unsupported-encoding"],
  ["a session of nobody", { headers: ["mcp-session-id: ../../x"] }, 404, "not-found"],
];

describe("over HTTP", () => {
  test("what comes by a name, from a page or in a form that is not ours is refused", async () => {
    await using sandbox = await makeSandbox();
    const { program, url } = await served(sandbox);
    await using _ended = program;
    for (const [name, lines, status, code] of REFUSED) {
      const headers = [authorized, ...(lines.headers ?? [])];
      const answer = await say(url, request(url, { ...lines, headers }));
      expect({ name, status: answer.status }).toEqual({ name, status });
      expectProblem(answer, code);
      expect(answer.body).not.toContain("evil");
    }
    for (const lines of [{ host: null }, { headers: ["Host: evil.example"] }]) {
      const answer = await say(
        url,
        request(url, { ...lines, headers: [authorized, ...(lines.headers ?? [])] }),
      );
      expect([400, 403]).toContain(answer.status);
    }
    // No session was made by any of it.
    expect(existsSync(join(sandbox.home, "sessions"))).toBe(false);
    for (const origin of ["http://localhost:6274", `http://${url.host}`]) {
      const headers = [authorized, `Origin: ${origin}`];
      expect((await say(url, request(url, { headers }))).status).not.toBe(403);
    }
  });

  test("a token that is wrong in any way is refused, before its body is read", async () => {
    await using sandbox = await makeSandbox();
    const { program, url } = await served(sandbox);
    await using _ended = program;
    const wrong = [
      [],
      ["Authorization: Bearer "],
      [`Authorization: Basic ${TOKENS[0]}`],
      [`Authorization: Bearer ${TOKENS[0]}x`],
      [`Authorization: Bearer ${TOKENS[0].slice(1)}`],
      [`Authorization: Bearer ${TOKENS[0].toUpperCase()}`],
      [`Authorization: Bearer ${TOKENS[0]} ${TOKENS[1]}`],
      [`Authorization: Bearer ${TOKENS.join("\\n")}`],
    ];
    for (const headers of wrong) {
      const answer = await say(url, request(url, { headers }));
      expect({ headers, status: answer.status }).toEqual({ headers, status: 401 });
      expectProblem(answer, "unauthorized");
      expect(answer.body).not.toContain("token-0123");
    }
    // Of this body not a byte ever comes.
    const head = request(url, { body: "" }).replace("Content-Length: 0", "Content-Length: 1000000");
    expect((await say(url, head)).status).toBe(401);
  });

  test("what is too large is refused, whether it says so or not, and the server goes on", async () => {
    await using sandbox = await makeSandbox();
    const { program, url } = await served(sandbox);
    await using _ended = program;
    const declared = request(url, { headers: [authorized], body: "" });
    const announced = declared.replace("Content-Length: 0", `Content-Length: ${2 ** 40}`);
    const answer = await say(url, announced);
    expect(answer.status).toBe(413);
    expectProblem(answer, "too-large");
    const chunked = declared.replace("Content-Length: 0", "Transfer-Encoding: chunked");
    const chunk = `100000\r\n${"x".repeat(0x100000)}\r\n`;
    const endless = await say(url, chunked, (socket) => {
      const more = (): void => {
        while (!socket.destroyed && socket.writable && socket.write(chunk)) continue;
      };
      socket.on("drain", more);
      more();
    });
    expect([0, 413]).toContain(endless.status);
    const headers = [authorized, `X-Much: ${"x".repeat(100_000)}`];
    const overflow = await say(url, request(url, { headers }));
    expect(overflow.status).toBe(431);
    expectProblem(overflow, "too-large");
    await using mcp = await connectHttp(url, TOKENS[0]);
    expect((await mcp.client.listTools()).tools.length).toBeGreaterThan(25);
  });

  test("what is no request, or no message, is told so", async () => {
    await using sandbox = await makeSandbox();
    const { program, url } = await served(sandbox);
    await using _ended = program;
    for (const text of ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\r\n"]) {
      const answer = await say(url, text);
      expect(answer.status).toBe(400);
      expectProblem(answer, "bad-request");
    }
    const bodies = ["", "{", "null", "[]", "42", '"x"', '{"jsonrpc":"2.0"}', "[".repeat(100_000)];
    for (const body of bodies) {
      const answer = await say(url, request(url, { headers: [authorized], body }));
      expect({ body: body.slice(0, 20), status: answer.status }).toEqual({
        body: body.slice(0, 20),
        status: 400,
      });
      expect(answer.body).toContain('"error"');
    }
    expect(program.printed.stderr).not.toContain("    at ");
  });

  test("who says half a request and waits is not waited for", async () => {
    await using sandbox = await makeSandbox();
    const { program, url } = await served(sandbox);
    await using _ended = program;
    const slow = await say(url, `POST /mcp HTTP/1.1\r\nHost: ${url.host}\r\nX-Slow: `);
    expect(slow.status).toBe(408);
    expectProblem(slow, "too-slow");
    // Nobody who says nothing at all is kept either.
    expect((await say(url, "")).status).toBe(408);
  });
});

function sessionsOf(
  sandbox: Sandbox,
): readonly { readonly id: string; readonly endedAt: string | null }[] {
  const folder = join(sandbox.home, "sessions");
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")));
}

describe("sessions over HTTP", () => {
  test("are so many at once, and so many of one token", async () => {
    await using sandbox = await makeSandbox();
    const { program, url } = await served(sandbox, "http: {sessions: 3, sessions_per_token: 2}\n");
    await using _ended = program;
    const first = await connectHttp(url, TOKENS[0]);
    await using second = await connectHttp(url, TOKENS[0]);
    await expect(connectHttp(url, TOKENS[0])).rejects.toThrow(/503|too many sessions/);
    await using third = await connectHttp(url, TOKENS[1]);
    await expect(connectHttp(url, TOKENS[1])).rejects.toThrow(/503|too many sessions/);
    for (const one of [second, third]) await one.client.listTools();
    // Whoever leaves makes room.
    await first[Symbol.asyncDispose]();
    await using again = await connectHttp(url, TOKENS[1]);
    await again.client.listTools();
    expect(sessionsOf(sandbox).filter(({ endedAt }) => endedAt === null)).toHaveLength(3);
  });

  test.each(["legacy", "modern"] as const)(
    "end when their client of the %s protocol says nothing, and never while a call goes on",
    async (era) => {
      await using sandbox = await makeSandbox();
      const { program, url } = await served(sandbox, "http: {idle_seconds: 3}\n");
      await using _ended = program;
      const gate = join(sandbox.repository.folder, "gate");
      await using busy = await connectHttp(url, TOKENS[0], era);
      await busy.call("workspace_create", { name: "busy" });
      const command = `until [ -e '${gate}' ]; do sleep 0.05; done; echo done`;
      const call = busy.call("exec", { workspace_id: "busy", command });
      const known = new Set(sessionsOf(sandbox).map(({ id }) => id));
      await using silent = await connectHttp(url, TOKENS[1], era);
      await silent.call("workspace_create", { name: "silent" });
      const isNew = ({ id }: { readonly id: string }): boolean => !known.has(id);
      await becomes(async () => {
        const ended = sessionsOf(sandbox).find(isNew);
        expect(ended?.endedAt).toEqual(expect.any(String));
      });
      // The one that waits began before, and is there still.
      const others = sessionsOf(sandbox).filter((session) => !isNew(session));
      expect(others.map(({ endedAt }) => endedAt)).toContain(null);
      writeFileSync(gate, "");
      expect((await call).structuredContent).toMatchObject({ stdout: "done\n", exit_code: 0 });
    },
  );
});
