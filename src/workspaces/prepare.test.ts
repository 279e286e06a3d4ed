import { expect, test } from "vitest";
import { ledgerOf, makeUntilKilled, prepareRequest } from "../../test/support/lasting-maker.ts";
import { seedOf, value } from "../../test/support/lasting-rig.ts";
import { localRig } from "../../test/support/local-rig.ts";
import { seedRepository } from "../../test/support/seed-repository.ts";
import { ENV, output } from "../../test/support/workspace-rig.ts";
import { prepareGolden } from "./prepare.ts";

test("a golden holds what its commands made, and is found again without running them", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const request = prepareRequest({ ...rig, seed: seedOf(seed) });
  const first = value(await prepareGolden(request));
  expect(first).toMatchObject({ reused: false, snapshot: { name: "ready", references: 0 } });
  const ran: string[] = [];
  const again = value(await prepareGolden({ ...request, onCommand: (it) => ran.push(it) }));
  expect(again).toEqual({ ...first, reused: true });
  expect(ran).toEqual([]);
  const [fork] = await rig.provider.fork(first.snapshot.id, [{ id: "two", env: ENV }]);
  expect(fork?.ok === true && (await output(fork.value, "cat state; echo $COLOUR"))).toBe(
    "set up\nblue",
  );
  expect(await rig.provider.list()).toEqual(["two"]);
});

test("a change of any input makes another", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const from = { ...rig, seed: seedOf(seed) };
  await seed.git("commit", "-q", "--allow-empty", "-m", "more");
  const changed = [
    {},
    { commands: ["echo set up >state"] },
    { commands: ["echo set up > state", "true"] },
    { variables: { COLOUR: "red" } },
    { variables: {} },
    { seed: { ...seedOf(seed), commit: await seed.git("rev-parse", "HEAD") } },
  ];
  const ids = new Set<string>();
  for (const inputs of changed) {
    const golden = value(await prepareGolden(prepareRequest({ ...from, ...inputs })));
    expect(golden.reused).toBe(false);
    ids.add(golden.snapshot.id);
  }
  expect(ids.size).toBe(changed.length);
});

test("the order of variables is no change", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const from = { ...rig, seed: seedOf(seed) };
  const one = prepareRequest({ ...from, variables: { A: "1", B: "2" } });
  const other = prepareRequest({ ...from, variables: { B: "2", A: "1" } });
  expect((await prepareGolden(one)).ok).toBe(true);
  expect(value(await prepareGolden(other)).reused).toBe(true);
});

test("a command that fails is told with its output, and leaves nothing behind", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const commands = ["touch made", "echo why >&2; exit 3", "touch never"];
  const failed = await prepareGolden(prepareRequest({ ...rig, seed: seedOf(seed), commands }));
  expect(failed).toMatchObject({
    ok: false,
    failure: {
      message: expect.stringContaining("exit code 3: why"),
      details: { index: 1, command: commands[1], stderr: "why\n" },
    },
  });
  expect(await rig.provider.list()).toEqual([]);
  expect(await rig.provider.listSnapshots()).toEqual([]);
  expect(ledgerOf(rig.root).list()).toEqual([]);
});

test("who asks for the same at the same time waits for it", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const ran: string[] = [];
  const commands = ["sleep 0.3; date +%N > state"];
  const prepare = () => {
    const request = prepareRequest({ ...rig, seed: seedOf(seed), commands });
    return prepareGolden({ ...request, onCommand: (it) => ran.push(it) });
  };
  const goldens = (await Promise.all([prepare(), prepare(), prepare()])).map(value);
  expect(ran).toHaveLength(1);
  expect(goldens.map(({ reused }) => reused).toSorted()).toEqual([false, true, true]);
  expect(new Set(goldens.map(({ snapshot }) => snapshot.id)).size).toBe(1);
});

test("who waits can be interrupted", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const commands = ["until test -e go; do sleep 0.01; done"];
  const stop = new AbortController();
  const request = prepareRequest({ ...rig, seed: seedOf(seed), commands });
  const begun = Promise.withResolvers<void>();
  const own = new AbortController();
  const first = prepareGolden({ ...request, signal: own.signal, onCommand: () => begun.resolve() });
  await begun.promise;
  const second = prepareGolden({ ...request, signal: stop.signal });
  stop.abort();
  expect(await second).toMatchObject({ ok: false });
  own.abort();
  expect(await first).toMatchObject({ ok: false });
  expect(await rig.provider.list()).toEqual([]);
});

test.each(["kept.claimed", "kept.made", "snapshot.copied", "golden.made"])(
  "one whose maker is killed at %s is made by the next",
  async (crashAt) => {
    await using rig = await localRig();
    await using seed = await seedRepository();
    const from = { root: rig.root, seed: seedOf(seed) };
    expect(await makeUntilKilled({ ...from, act: "prepare", crashAt })).toBe("SIGKILL");
    const golden = value(await prepareGolden(prepareRequest({ ...from, provider: rig.provider })));
    expect(golden.reused).toBe(crashAt === "golden.made");
    const [fork] = await rig.provider.fork(golden.snapshot.id, [{ id: "two", env: ENV }]);
    expect(fork?.ok === true && (await output(fork.value, "cat state"))).toBe("set up");
  },
);
