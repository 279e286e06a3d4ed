import Docker from "dockerode";
import { describe, expect, test } from "vitest";
import { isSkipped, whySkipped } from "../../../test/support/docker-rig.ts";
import { value } from "../../../test/support/lasting-rig.ts";
import { mayStartEngines, privateEngine } from "../../../test/support/private-engine.ts";
import { ENV, output } from "../../../test/support/workspace-rig.ts";

const NETWORK = { network: "none" } as const;

describe.skipIf(isSkipped || !mayStartEngines)(
  `an engine that somebody prunes${whySkipped}${mayStartEngines ? "" : " (run as root: it starts its own)"}`,
  () => {
    test("keeps what runs, and what is taken away is told as gone", async () => {
      await using own = await privateEngine(1000);
      const { provider, socketPath } = own;
      const make = async (id: string) =>
        value(await provider.create({ id, seed: null, env: ENV, ...NETWORK }));
      const running = await make("running");
      const stopped = await make("stopped");
      value(await running.snapshot("base"));
      value(await stopped.stop());
      const docker = new Docker({ socketPath });

      await docker.pruneNetworks();
      expect(await output(running, "echo works")).toBe("works");
      expect(await stopped.info()).toMatchObject({ state: "stopped" });
      await docker.pruneContainers();
      expect(await stopped.info()).toMatchObject({ state: "broken" });
      expect(await stopped.start()).toMatchObject({
        ok: false,
        failure: { code: "workspace-missing", hint: expect.stringContaining("remove") },
      });
      await docker.pruneImages();
      const snapshots = await provider.listSnapshots();
      expect(snapshots.map(({ id }) => id)).toEqual(["running@base"]);
      await docker.pruneImages({ filters: { dangling: ["false"] } });
      expect(await provider.listSnapshots()).toEqual([]);
      const [fork] = await provider.fork("running@base", [{ id: "fork", env: ENV, ...NETWORK }]);
      expect(fork).toMatchObject({ ok: false, failure: { code: "workspace-missing" } });
      expect(await output(running, "echo works")).toBe("works");
      await stopped.destroy();
      expect(await provider.list()).toEqual(["running"]);
    });
  },
);
