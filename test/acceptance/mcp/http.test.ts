import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { request } from "node:http";
import { expect, test } from "vitest";
import { makeSandbox } from "../../support/cli.ts";
import { connectHttp, serveHttp } from "../../support/http-mcp.ts";
import { becomes } from "./driver.ts";

const TOKENS = ["first-token-0123456789abcdef", "second-token-0123456789abcdef"] as const;

/** By node:http, because `fetch` does not let a Host header be told. */
function ask(url: URL, headers: Readonly<Record<string, string>>, path = "/mcp"): Promise<number> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = url;
    const sent = request({ hostname, port, path, method: "POST", headers }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    sent.once("error", reject);
    sent.end('{"jsonrpc":"2.0","id":1,"method":"tools/list"}');
  });
}

test.each(["legacy", "modern"] as const)(
  "a client of the %s protocol works over HTTP",
  async (era) => {
    await using sandbox = await makeSandbox();
    const { program, url } = await serveHttp(sandbox);
    await using _ended = program;
    const token = readFileSync(join(sandbox.home, "mcp-token"), "utf8").trim();
    await using mcp = await connectHttp(url, token, era);
    const version = mcp.client.getNegotiatedProtocolVersion() ?? "";
    expect(version >= "2026" ? "modern" : "legacy").toBe(era);
    expect((await mcp.client.listTools()).tools.length).toBeGreaterThan(25);
    await mcp.call("workspace_create", { name: "over-http" });
    const ran = await mcp.call("exec", { workspace_id: "over-http", command: "echo hello" });
    expect(ran.structuredContent).toMatchObject({ stdout: "hello\n", exit_code: 0 });
    const { contents } = await mcp.client.readResource({ uri: "mycelium://workspaces" });
    expect(JSON.stringify(contents)).toContain("over-http");
  },
);

test("cancelling over HTTP ends the whole process tree", async () => {
  await using sandbox = await makeSandbox();
  const { program, url } = await serveHttp(sandbox, [], { MYCELIUM_MCP_TOKEN: TOKENS[0] });
  await using _ended = program;
  for (const era of ["legacy", "modern"] as const) {
    await using mcp = await connectHttp(url, TOKENS[0], era);
    const on = { workspace_id: `cancel-${era}` };
    await mcp.call("workspace_create", { name: on.workspace_id });
    const cancelled = new AbortController();
    const command = "sleep 300 & echo $! > child.pid; wait";
    const call = mcp.call("exec", { ...on, command }, cancelled.signal).catch(() => null);
    const looks = async (): Promise<string> => {
      const look =
        "test -s child.pid && { grep -q '^State:.[^ZX]' /proc/$(cat child.pid)/status 2>/dev/null && echo alive || echo gone; }";
      const { structuredContent } = await mcp.call("exec", { ...on, command: look });
      return String((structuredContent as { readonly stdout?: string } | undefined)?.stdout);
    };
    await becomes(async () => expect(await looks()).toBe("alive\n"));
    cancelled.abort();
    await call;
    await becomes(async () => expect(await looks()).toBe("gone\n"));
  }
});

test("each token is a client of its own, and no other's workspace is touched", async () => {
  await using sandbox = await makeSandbox();
  const file = join(sandbox.repository.folder, "tokens");
  await sandbox.repository.write("../tokens", `# clients\n${TOKENS.join("\n")}\n`);
  const { program, url } = await serveHttp(sandbox, ["--token-file", file]);
  await using _ended = program;
  await using one = await connectHttp(url, TOKENS[0], "modern");
  await using two = await connectHttp(url, TOKENS[1], "modern");
  await one.call("workspace_create", { name: "ones" });
  const touched = await two.call("exec", { workspace_id: "ones", command: "true" });
  expect(touched).toMatchObject({ isError: true });
  // Who comes again with the same token is the same.
  await using again = await connectHttp(url, TOKENS[0], "modern");
  expect((await again.call("exec", { workspace_id: "ones", command: "true" })).isError).not.toBe(
    true,
  );
});

test("without its token, by another name or for a web page, nothing is answered", async () => {
  await using sandbox = await makeSandbox();
  const { program, url } = await serveHttp(sandbox, [], { MYCELIUM_MCP_TOKEN: TOKENS[0] });
  await using _ended = program;
  const json = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
  };
  const authorized = { ...json, Authorization: `Bearer ${TOKENS[0]}` };
  expect(await ask(url, json)).toBe(401);
  expect(await ask(url, { ...json, Authorization: "Bearer wrong-token-wrong-token" })).toBe(401);
  expect(await ask(url, { ...json, Authorization: TOKENS[0] })).toBe(401);
  expect(await ask(url, { ...authorized, Host: "evil.example" })).toBe(403);
  expect(await ask(url, { ...authorized, Origin: "https://evil.example" })).toBe(403);
  expect(await ask(url, { ...authorized, Origin: "null" })).toBe(403);
  expect(await ask(url, authorized, "/elsewhere")).toBe(404);
  expect(await ask(url, { ...authorized, "mcp-session-id": "no-such-session" })).toBe(404);
  expect(await ask(url, authorized)).toBe(400);
  expect((await fetch(new URL("/health", url))).status).toBe(200);
  await using mcp = await connectHttp(url, TOKENS[0]);
  expect((await mcp.client.listTools()).tools.length).toBeGreaterThan(25);
});

test("a public address without a token is refused, and a weak token anywhere", async () => {
  await using sandbox = await makeSandbox();
  const open = await sandbox.json(["mcp", "--http", "0", "--host", "0.0.0.0"]);
  expect(open).toMatchObject({ ok: false, error: { code: "usage" } });
  expect(JSON.stringify(open)).toContain("not served without a token");
  const weak = await sandbox.json(["mcp", "--http", "0"], { env: { MYCELIUM_MCP_TOKEN: "short" } });
  expect(weak).toMatchObject({ ok: false, error: { code: "usage" } });
});

test("the token that was made up is the owner's to read, and stays", async () => {
  await using sandbox = await makeSandbox();
  const path = join(sandbox.home, "mcp-token");
  const first = await serveHttp(sandbox);
  const token = readFileSync(path, "utf8");
  expect(token).toMatch(/^[0-9a-f]{64}\n$/);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  first.program.kill("SIGTERM");
  expect(await first.program.ended).toMatchObject({ code: 143 });
  expect(first.program.printed.stderr).not.toContain(token.trim());
  const second = await serveHttp(sandbox);
  await using _ended = second.program;
  expect(readFileSync(path, "utf8")).toBe(token);
});
