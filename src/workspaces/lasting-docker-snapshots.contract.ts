import { expect, test } from "vitest";
import {
  findAgain,
  makeEmpty,
  valueOf,
  type MakeLastingRig,
} from "../../test/support/docker-lasting-rig.ts";
import { ENV, output } from "../../test/support/workspace-rig.ts";

/** The tree of snapshots, and forks of it. */
export function describeSnapshots(makeRig: MakeLastingRig): void {
  test("snapshots are a tree: listed, restored, and the way back is lost", async () => {
    await using rig = await makeRig();
    const workspace = await makeEmpty(rig);
    await workspace.writeFile("note", "1");
    const one = valueOf(await workspace.snapshot("first"));
    expect(one).toMatchObject({ id: "one@first", workspace: "one", parent: null, references: 0 });
    await workspace.writeFile("note", "2");
    expect(valueOf(await workspace.snapshot("second"))).toMatchObject({ parent: "one@first" });
    expect(await workspace.snapshot("second")).toMatchObject({ ok: false });
    expect(await workspace.snapshot("../x")).toMatchObject({ ok: false });
    await workspace.writeFile("note", "3");
    valueOf(await workspace.restore("one@first"));
    expect(await output(workspace, "cat note")).toBe("1");
    expect(valueOf(await workspace.snapshot("third"))).toMatchObject({ parent: "one@first" });
    const all = await rig.provider.listSnapshots();
    const lines = all.map(({ id, parent, references }) => `${id} ${parent} ${references}`);
    expect(lines.toSorted()).toEqual([
      "one@first null 3",
      "one@second one@first 0",
      "one@third one@first 0",
    ]);
    expect(await workspace.restore("one@none")).toMatchObject({ ok: false });
  });

  test("what something stands on is not deleted; the rest is, once", async () => {
    await using rig = await makeRig();
    const workspace = await makeEmpty(rig);
    valueOf(await workspace.snapshot("base"));
    const forks = await rig.provider.fork("one@base", [{ id: "fork", env: ENV }]);
    expect(valueOf(forks[0]).id).toBe("fork");
    expect(await rig.provider.deleteSnapshot("one@base")).toMatchObject({
      ok: false,
      failure: { details: { references: 1 } },
    });
    await workspace.destroy();
    expect(await rig.provider.listSnapshots()).toHaveLength(1);
    await rig.provider.remove("fork");
    valueOf(await rig.provider.deleteSnapshot("one@base"));
    expect(await rig.provider.deleteSnapshot("one@base")).toMatchObject({ ok: false });
    expect(await rig.provider.listSnapshots()).toEqual([]);
  });

  test("forks start with the files and variables, each with a name and an identity of its own", async () => {
    await using rig = await makeRig();
    const workspace = await makeEmpty(rig);
    await workspace.writeFile("note", "shared");
    valueOf(await workspace.setEnv({ COLOUR: "green" }));
    valueOf(await workspace.snapshot("base"));
    await workspace.writeFile("note", "later");
    const requests = ["f1", "f2", "f3", "one"].map((id) => ({
      id,
      env: ENV,
      network: "none" as const,
    }));
    const results = await rig.provider.fork("one@base", requests);
    expect(results.map(({ ok }) => ok)).toEqual([true, true, true, false]);
    const seen = new Set<string>();
    for (const result of results.slice(0, 3)) {
      const fork = valueOf(result);
      expect(await output(fork, 'cat note; echo " $COLOUR"')).toBe("shared green");
      await fork.writeFile("note", fork.id);
      const own = await output(
        fork,
        "hostname; cat /etc/machine-id; head -c 8 /dev/urandom | od -An -tx1",
      );
      expect(own.split("\n")[0]).toBe(fork.id);
      for (const line of own.split("\n")) seen.add(line);
      const now = Number(await output(fork, "date +%s"));
      expect(Math.abs(now - Date.now() / 1000)).toBeLessThan(60);
      expect(await fork.info()).toMatchObject({ forkedFrom: "one@base", network: "none" });
    }
    expect(seen.size).toBe(9);
    expect(await output(await findAgain(rig, "f2"), "cat note")).toBe("f2");
    expect(await output(workspace, "cat note")).toBe("later");
    const none = await rig.provider.fork("one@none", requests.slice(0, 1));
    expect(none).toMatchObject([{ ok: false }]);
  });
}
