import { once } from "node:events";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { runProcess } from "../src/lib/process.ts";
import { loopbackFence } from "./support/only-loopback.ts";
import { serveModel, type ModelRequest } from "./support/stand-in-model.ts";

/** What tests of agents' programs rely on when they say that nothing left loopback. */

const fence = await loopbackFence();

test.skipIf(fence.length === 0)(
  "behind the fence there is no network but loopback (needs `unshare --net` and `ip`)",
  async () => {
    const [program, ...args] = [...fence, "cat", "/proc/net/dev"];
    const { ending, stdout } = await runProcess({
      command: [program, ...args],
      cwd: "/",
      env: { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` },
      timeoutMs: 60_000,
      outputBytesMax: 65_536,
    });
    expect(ending).toEqual({ kind: "exited", code: 0 });
    const devices = [...stdout.bytes.toString().matchAll(/^ *(\S+):/gm)].map(([, name]) => name);
    expect(devices).toEqual(["lo"]);
  },
);

test("the stand-in model tells of a client that would go elsewhere, and outlives it", async () => {
  const requests: ModelRequest[] = [];
  const model = await serveModel({
    calls: [],
    farewell: "Nothing to do.",
    onRequest: (request) => requests.push(request),
  });
  const { port } = new URL(model.url);
  const socket = connect(Number(port), "127.0.0.1");
  socket.write("CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: elsewhere.example:443\r\n\r\n");
  const [answer] = (await once(socket, "data")) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 403 /);
  socket.resetAndDestroy();
  const said = await fetch(`${model.url}/v1/messages`, { method: "POST", body: "{}" });
  expect(await said.json()).toMatchObject({
    role: "assistant",
    content: [{ type: "text", text: "Nothing to do." }],
    stop_reason: "end_turn",
  });
  await model.close();
  expect(requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
    "CONNECT elsewhere.example:443",
    "POST /v1/messages",
  ]);
});
