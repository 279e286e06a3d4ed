import { describe, expect, it } from "vitest";
import { manualClock } from "../../test/support/manual-clock.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { extendLease, holdsLease, releaseLease, takeLease, type LeaseRequest } from "./leases.ts";
import { openStore } from "./store.ts";

const request = (purpose: string, isDead = false): LeaseRequest => ({
  name: "repository:/repo/.git",
  holder: { host: "here", pid: 1, identity: purpose, purpose },
  ttlMs: 1000,
  isDead: () => isDead,
});

async function openHere(home: string) {
  const clock = manualClock();
  return { clock, store: await openStore({ home, clock, redact: (text) => text }) };
}

describe("a lease", () => {
  it("is held by one, and named to the other", async () => {
    await using home = await temporaryFolder();
    const { store } = await openHere(home.path);
    expect((await takeLease(store, request("a"))).kind).toBe("held");
    expect(await takeLease(store, request("b"))).toMatchObject({
      kind: "taken",
      holder: { purpose: "a" },
    });
    await store.close();
  });

  it("passes on when its time is over, and the late owner sees it", async () => {
    await using home = await temporaryFolder();
    const { store, clock } = await openHere(home.path);
    const first = await takeLease(store, request("a"));
    clock.advance(1001);
    const second = await takeLease(store, request("b"));
    if (first.kind !== "held" || second.kind !== "held") throw new Error("not held");
    expect(second.lease.token).toBeGreaterThan(first.lease.token);
    expect(await extendLease(store, first.lease)).toBe(false);
    expect(await store.record((change) => holdsLease(change, first.lease))).toBe(false);
    expect(await store.record((change) => holdsLease(change, second.lease))).toBe(true);
    await releaseLease(store, first.lease);
    expect((await takeLease(store, request("c"))).kind).toBe("taken");
    await store.close();
  });

  it("lasts as long as its owner extends it", async () => {
    await using home = await temporaryFolder();
    const { store, clock } = await openHere(home.path);
    const held = await takeLease(store, request("a"));
    if (held.kind !== "held") throw new Error("not held");
    for (let beat = 0; beat < 5; beat += 1) {
      clock.advance(900);
      expect(await extendLease(store, held.lease)).toBe(true);
    }
    expect((await takeLease(store, request("b"))).kind).toBe("taken");
    await store.close();
  });

  it("is free at once when given back, or when its owner is known to be dead", async () => {
    await using home = await temporaryFolder();
    const { store } = await openHere(home.path);
    const first = await takeLease(store, request("a"));
    if (first.kind !== "held") throw new Error("not held");
    await releaseLease(store, first.lease);
    expect((await takeLease(store, request("b"))).kind).toBe("held");
    expect((await takeLease(store, request("c", true))).kind).toBe("held");
    await store.close();
  });
});
