import { expect } from "vitest";
import { freePort } from "../../../support/free-port.ts";
import { becomes, sh, type Stage, type Steps } from "../driver.ts";

export async function network(stage: Stage, { step, phase }: Steps): Promise<void> {
  const { mcp, primary, kind } = stage;
  const on = { workspace_id: primary };
  const isChangeable = kind === "sandbox" || kind === "vm";
  phase("4 network");
  await step("network_policy shows what is reached", async () => {
    const policy = await mcp.done("network_policy", on);
    expect(policy).toMatchObject({ kind, allow_internet: true, allowed_ports: [] });
  });
  await step("another policy is refused by name, with who can", async () => {
    const said = await mcp.refused("network_policy", { ...on, allow_internet: false });
    if (isChangeable) {
      expect(said).toContain(
        `a running ${kind} workspace keeps the network that it was started with`,
      );
      expect(said).toContain("Next: stop it");
    } else {
      expect(said).toContain(`a ${kind} workspace keeps the network that it was made with`);
      expect(said).toContain("sandbox and vm workspaces can change it while they are stopped");
    }
    expect(await mcp.done("network_policy", on)).toMatchObject({ allow_internet: true });
  });
  await step("a stopped workspace's policy changes where its kind can, and is kept", async () => {
    const quiet = { workspace_id: "quiet" };
    await mcp.done("workspace_create", { name: "quiet" });
    await mcp.done("workspace_stop", quiet);
    const none = { ...quiet, allow_internet: false };
    if (!isChangeable) {
      expect(await mcp.refused("network_policy", none)).toContain("sandbox and vm workspaces can");
    } else {
      expect(await mcp.done("network_policy", none)).toMatchObject({ allow_internet: false });
      expect(await mcp.done("workspace_start", quiet)).toMatchObject({ state: "running" });
      expect(await mcp.done("network_policy", quiet)).toMatchObject({ allow_internet: false });
      const devices = await sh(mcp, "quiet", "tail -n +3 /proc/net/dev | cut -d: -f1");
      expect(devices.trim()).toBe("lo");
    }
    await mcp.done("workspace_destroy", quiet);
  });
  await step("a policy that holds already is no change", async () => {
    const policy = await mcp.done("network_policy", { ...on, allow_internet: true });
    expect(policy).toMatchObject({ allow_internet: true });
  });
  await step("a workspace without network can be had, or is refused by name", async () => {
    const input = { name: "cut-off", allow_internet: false };
    if (kind === "local") {
      const said = await mcp.refused("workspace_create", input);
      expect(said).toContain("cannot be cut off from the network");
      expect(said).toContain("sandbox, docker or vm");
      return;
    }
    expect(await mcp.done("workspace_create", input)).toMatchObject({ allow_internet: false });
    await mcp.done("workspace_destroy", { workspace_id: "cut-off" });
  });
  await step("a host port below 1024 is refused", async () => {
    const input = { ...on, action: "add", guest_port: 80, host_port: 80 };
    expect(await mcp.refused("port_forward", input)).toContain("host_port");
  });
  await step("adding without a port is refused", async () => {
    const said = await mcp.refused("port_forward", { ...on, action: "add" });
    expect(said).toContain("guest_port: is required");
  });
  await forwards(stage, step);
}

/** Answers whatever it is asked, once a connection, with tools that every image has. */
const server = (port: number): string =>
  `perl -MIO::Socket::INET -e 'my $l = IO::Socket::INET->new(LocalAddr => "127.0.0.1", ` +
  `LocalPort => ${port}, Listen => 5, ReuseAddr => 1) or die; while (my $c = $l->accept) { ` +
  `sysread $c, my $b, 4096; print $c "HTTP/1.0 200 OK\\r\\n\\r\\nfrom inside"; close $c }'`;

async function forwards({ mcp, primary }: Stage, step: Steps["step"]): Promise<void> {
  const on = { workspace_id: primary };
  const guest = await freePort();
  let host = 0;
  await step("port_forward opens a port on loopback", async () => {
    const command = server(guest);
    await mcp.done("exec_background", { ...on, action: "start", command });
    await becomes(async () => {
      const input = { ...on, action: "add", guest_port: guest };
      const opened = await mcp.done("port_forward", input);
      host = Number(opened["host_port"]);
      expect(host).toBeGreaterThanOrEqual(1024);
      const answer = await fetch(`http://127.0.0.1:${host}/`);
      expect(await answer.text()).toBe("from inside");
    });
  });
  await step("port_forward lists what is open", async () => {
    const listed = await mcp.done("port_forward", { ...on, action: "list" });
    expect(listed["port_forwards"]).toEqual([{ guest_port: guest, host_port: host }]);
  });
  await step("port_forward closes it again", async () => {
    await mcp.done("port_forward", { ...on, action: "remove", guest_port: guest });
    const listed = await mcp.done("port_forward", { ...on, action: "list" });
    expect(listed["port_forwards"]).toEqual([]);
    // Where the network is the machine's own, so is the port, and it goes on.
    if (host !== guest) await expect(fetch(`http://127.0.0.1:${host}/`)).rejects.toThrow();
  });
  await step("closing what is not open is refused", async () => {
    await mcp.refused("port_forward", { ...on, action: "remove", guest_port: guest });
  });
}
