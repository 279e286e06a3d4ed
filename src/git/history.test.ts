import { describe, expect, test } from "vitest";
import { makeGitRepository } from "../../test/support/git-repository.ts";

function message(run: string, task: string, attempt: number): string {
  return `Do ${task}\n\nBody.\n\nMycelium-Run: ${run}\nMycelium-Task: ${task}\nMycelium-Attempt: ${attempt}\n`;
}

describe("findLanded", () => {
  test("tells which attempts landed in a range, oldest first, by one process", async () => {
    await using repository = await makeGitRepository();
    const first = await repository.commit({ "1": "1\n" }, message("r1", "a", 1));
    await repository.commit({ "2": "2\n" }, "a person's commit");
    const second = await repository.commit({ "3": "3\n" }, message("r1", "b", 7));
    const started: string[] = [];
    await using opened = await repository.open({ onStart: (args) => started.push(args[0] ?? "") });
    expect(await opened.findLanded({ from: repository.base, to: second })).toEqual([
      { commit: first, run: "r1", task: "a", attempt: "1" },
      { commit: second, run: "r1", task: "b", attempt: "7" },
    ]);
    expect(started).toEqual(["rev-parse", "rev-list"]);
    expect(await opened.findLanded({ from: first, to: second })).toHaveLength(1);
    expect(await opened.findLanded({ from: null, to: second })).toHaveLength(2);
    expect(await opened.findLanded({ from: second, to: second })).toEqual([]);
  });

  test("follows first parents: what came with a merge did not land by itself", async () => {
    await using repository = await makeGitRepository();
    const side = await repository.commitOn(repository.base, { side: "s\n" });
    await repository.git("checkout", "--quiet", "--detach", side);
    const worker = await repository.commit({ more: "m\n" }, message("r1", "inner", 1));
    await repository.git("checkout", "--quiet", "main");
    await repository.git("merge", "--quiet", "--no-ff", "-m", message("r1", "outer", 2), worker);
    const to = await repository.git("rev-parse", "HEAD");
    await using opened = await repository.open();
    const landed = await opened.findLanded({ from: repository.base, to });
    expect(landed.map(({ task }) => task)).toEqual(["outer"]);
  });

  test("leaves out messages with only some trailers, several values, or trailers in the body", async () => {
    await using repository = await makeGitRepository();
    const all = message("r1", "a", 1);
    await repository.commit({ "1": "1\n" }, all.replace(/Mycelium-Task.*\n/, ""));
    await repository.commit({ "2": "2\n" }, `${all}Mycelium-Task: b\n`);
    await repository.commit({ "3": "3\n" }, `${all}\nNot a trailer any more.\n`);
    const to = await repository.commit({ "4": "4\n" }, message("r1", "wörk", 1));
    await using opened = await repository.open();
    const landed = await opened.findLanded({ from: repository.base, to });
    expect(landed).toEqual([{ commit: to, run: "r1", task: "wörk", attempt: "1" }]);
  });

  test("does not depend on the user's settings", async () => {
    await using repository = await makeGitRepository();
    const to = await repository.commit({ "1": "1\n" }, message("r1", "a", 1));
    await repository.git("config", "trailer.separators", "%");
    await repository.git("config", "log.showSignature", "true");
    await repository.git("config", "color.ui", "always");
    await using opened = await repository.open();
    expect(await opened.findLanded({ from: null, to })).toHaveLength(1);
  });
});
