import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { manifestSchema } from "../../src/domain/task.ts";
import { matchesAny } from "../../src/lib/globs.ts";
import { makeSandbox, ofType, type Sandbox } from "../support/cli.ts";
import { expectBoth, expectOnlyHonest, runHostile } from "../support/shell-agent.ts";

/** For scripts: the file of a loose object, and the worker's own branch. */
const TOOLS = `
object() { echo ".git/objects/$(echo "$1" | cut -c1-2)/$(echo "$1" | cut -c3-)"; }
commit() { echo evil > hostile.txt; git add -A; git commit -q -m evil; }
branch=$(sed 's/^ref: //' .git/HEAD)
`;

const NOWHERE = "1234567890123456789012345678901234567890";

/** What is done to the worker's repository, and what it must come to. */
const BROKEN: readonly { readonly name: string; readonly script: string }[] = [
  { name: "is gone", script: "rm -rf .git" },
  {
    name: "is gone with the whole workspace",
    script: 'cd /; rm -rf "$(dirname "$MYCELIUM_WORKSPACE")"',
  },
  {
    name: "shares everything with the user's",
    script:
      'user=$(head -1 .git/objects/info/alternates); echo "${user%/objects}" > .git/commondir',
  },
  { name: "is empty", script: "rm -rf .git; mkdir .git" },
  {
    name: "is a file that names the user's",
    script:
      'user=$(head -1 .git/objects/info/alternates); rm -rf .git; echo "gitdir: ${user%/objects}" > .git',
  },
  {
    name: "is a link to the user's",
    script:
      'user=$(head -1 .git/objects/info/alternates); rm -rf .git; ln -s "${user%/objects}" .git',
  },
  { name: "has a link for its HEAD", script: "rm .git/HEAD; ln -s /etc/passwd .git/HEAD" },
  { name: "has nonsense for its HEAD", script: "head -c 100000 /dev/urandom > .git/HEAD" },
  { name: "has a HEAD that leaves it", script: "echo 'ref: refs/heads/../../../../x' > .git/HEAD" },
  { name: "has a HEAD that is a pipe", script: "rm .git/HEAD; mkfifo .git/HEAD" },
  { name: "has a branch that points nowhere", script: `commit; echo ${NOWHERE} > ".git/$branch"` },
  {
    name: "has a branch that is a folder",
    script: 'commit; rm ".git/$branch"; mkdir ".git/$branch"',
  },
  {
    name: "has a corrupted object",
    script:
      "commit; file=$(object $(git rev-parse HEAD:hostile.txt)); chmod u+w $file; echo x > $file",
  },
  {
    name: "has an object under another one's name",
    script: `commit; echo other > other; other=$(git hash-object -w other); rm other
      file=$(object $(git rev-parse HEAD:hostile.txt)); rm -f $file; cp $(object $other) $file`,
  },
  {
    name: "lacks an object of its commit",
    script: `echo first > hostile.txt; git add -A; git commit -q -m first
      file=$(object $(git rev-parse HEAD:hostile.txt)); commit; rm -f $file`,
  },
  { name: "has lost its folder of objects", script: "commit; rm -rf .git/objects" },
  {
    name: "has a history of its own",
    script: "git checkout -q --orphan fresh; commit",
  },
  {
    name: "was taken back behind its base",
    script: "git update-ref --no-deref HEAD $(git commit-tree -m x $(git write-tree)); commit",
  },
];

describe("nothing lands of a worker whose repository", () => {
  it.each(BROKEN)("$name", async ({ script }) => {
    await using sandbox = await makeSandbox();
    const config = await sandbox.repository.git("config", "--local", "--list");
    const branches = await sandbox.repository.git("branch", "--format=%(refname)");
    const run = await runHostile(sandbox, `${TOOLS}echo evil > hostile.txt\n${script}`);
    await expectOnlyHonest(sandbox, run, "workspace-broken");
    expect(await sandbox.repository.git("config", "--local", "--list")).toBe(config);
    expect(await sandbox.repository.git("branch", "--format=%(refname)")).toBe(branches);
  });

  it("was broken in one try, and the next one starts afresh and lands", async () => {
    await using sandbox = await makeSandbox();
    const script =
      'if [ "$MYCELIUM_ATTEMPT" = 1 ]; then rm -rf .git; else echo ok > hostile.txt; fi';
    const run = await runHostile(sandbox, script, { settings: { max_attempts: 2 } });
    await expectBoth(sandbox, run);
  });
});

/** Trees that git's own porcelain would not make; written object by object. */
const CRAFTED: readonly { readonly name: string; readonly tree: string }[] = [
  { name: "a folder called .git", tree: "040000 tree $folder\\t.git" },
  { name: "a folder that some systems take for .git", tree: "040000 tree $folder\\t.GIT" },
  { name: "its short name of old", tree: "040000 tree $folder\\tgit~1" },
  { name: "a folder called ..", tree: "040000 tree $folder\\t.." },
  { name: "a .gitmodules that is a link", tree: "120000 blob $blob\\t.gitmodules" },
  { name: "a .gitmodules that names a program", tree: "100644 blob $modules\\t.gitmodules" },
  { name: "a file with a slash in its name", tree: "100644 blob $blob\\ta/b" },
];

const CRAFT = `
blob=$(printf '[core]\\n\\tfsmonitor = touch /tmp/mycelium-was-here\\n' | git hash-object -w --stdin)
modules=$(printf '[submodule "x"]\\n\\tpath = x\\n\\turl = --upload-pack=touch\\n' | git hash-object -w --stdin)
folder=$(printf '100644 blob %s\\tconfig\\n' $blob | git mktree)
raw() { # a tree entry by hand, because mktree refuses some
  printf "$1" | { read -r mode type id_name; id=\${id_name%%"$tab"*}; name=\${id_name#*"$tab"}
    printf '%s %s\\0' "\${mode#0}" "$name"; printf '%s' "$id" | xxd -r -p; }
}
tab=$(printf '\\t')
`;

describe("nothing lands of a worker who commits", () => {
  it.each(CRAFTED)("$name", async ({ tree }) => {
    await using sandbox = await makeSandbox();
    const script = `${TOOLS}${CRAFT}
      tree=$(raw "${tree}" | git hash-object -t tree -w --literally --stdin) || exit 9
      head=$(git commit-tree -p HEAD -m evil $tree) || exit 9
      git update-ref HEAD $head || exit 9
      # What the checkpoint would commit is what is there already.
      rm -f .git/index`;
    const run = await runHostile(sandbox, script, { writes: ["**"] });
    await expectOnlyHonest(sandbox, run, "workspace-broken");
    expect(run.stdout).toContain("was refused by git");
    expect(await readdir(sandbox.repository.path)).not.toContain("config");
  });
});

describe("a worker's repository may have", () => {
  it("any configuration, hooks, filters and attributes: the host runs nothing of them", async () => {
    await using sandbox = await makeSandbox();
    const trace = join(sandbox.repository.folder, "ran-on-the-host");
    // In the workspace they may run, which is what their environment tells.
    const inside = join(sandbox.repository.folder, "ran-in-the-workspace");
    const tell = `[ -n "$MYCELIUM_WORKSPACE_DIR" ] && touch ${inside} || touch ${trace}`;
    const script = `cat > tell.sh <<'END'
#!/bin/sh
${tell}
cat 2>/dev/null
END
      chmod +x tell.sh; tell="$PWD/tell.sh"
      for key in core.fsmonitor core.sshCommand core.pager core.editor core.askPass diff.external \\
        filter.evil.clean filter.evil.smudge merge.evil.driver diff.evil.textconv diff.evil.command \\
        uploadpack.packObjectsHook gpg.program credential.helper alias.bundle alias.rev-list; do
        git config $key "$tell"
      done
      git config filter.evil.required true; git config core.hooksPath "$PWD/hooks"
      mkdir hooks
      for hook in pre-commit post-commit reference-transaction post-index-change pre-auto-gc; do
        cp tell.sh hooks/$hook; cp tell.sh .git/hooks/$hook 2>/dev/null
      done
      echo '* filter=evil merge=evil diff=evil' > .gitattributes
      echo done > hostile.txt`;
    const run = await runHostile(sandbox, script, {
      writes: ["hostile.txt", ".gitattributes", "tell.sh", "hooks/**"],
    });
    await expectBoth(sandbox, run);
    // The bait was good: the checkpoint, which is made in the workspace, has taken it.
    expect(existsSync(inside)).toBe(true);
    expect(existsSync(trace)).toBe(false);
  });

  it("locks of a git that was killed", async () => {
    await using sandbox = await makeSandbox();
    const script = `${TOOLS}echo done > hostile.txt
      touch .git/index.lock .git/HEAD.lock ".git/$branch.lock" .git/config.lock`;
    await expectBoth(sandbox, await runHostile(sandbox, script));
  });

  it("replaced objects, which change nothing of what is judged and lands", async () => {
    await using sandbox = await makeSandbox();
    const script = `${TOOLS}commit
      good=$(echo good | git hash-object -w --stdin)
      git replace $(git rev-parse HEAD:hostile.txt) $good`;
    const run = await runHostile(sandbox, script, {
      settings: { doctor: "test ! -f hostile.txt || grep -q evil hostile.txt" },
    });
    await expectBoth(sandbox, run);
    expect(await sandbox.repository.git("show", "main:hostile.txt")).toBe("evil");
    expect(await sandbox.repository.git("for-each-ref", "refs/replace")).toBe("");
  });

  it("another branch checked out, tags, and commits with any author: one commit lands", async () => {
    await using sandbox = await makeSandbox();
    const script = `${TOOLS}git checkout -q -b elsewhere; commit
      git -c user.name='A "Quoted" <Person>' commit -q --amend --reset-author -m '-> subject\n\nbody'
      git tag v1; git branch more`;
    await expectBoth(sandbox, await runHostile(sandbox, script));
    expect(await sandbox.repository.git("tag")).toBe("");
    expect(await sandbox.repository.git("branch", "--format=%(refname:short)")).toBe("main");
  });
});

describe("a repository inside of a worker's repository", () => {
  it("does not land as a reference to commits that nobody has", async () => {
    await using sandbox = await makeSandbox();
    const script = `git init -q nested; cd nested; echo inner > inner.txt; git add .
      git -c user.name=x -c user.email=x@localhost commit -q -m inner`;
    const run = await runHostile(sandbox, script, { writes: ["nested", "nested/**"] });
    await expectOnlyHonest(sandbox, run, "workspace-broken");
    expect(run.stdout + run.stderr).toContain("nested");
  });

  it("without a commit is told as what it is", async () => {
    await using sandbox = await makeSandbox();
    const script = "git init -q nested; echo inner > nested/inner.txt";
    const run = await runHostile(sandbox, script, { writes: ["nested", "nested/**"] });
    await expectOnlyHonest(sandbox, run, "workspace-broken");
    expect(run.stdout + run.stderr).toContain("nested");
  });

  it("may be a submodule of the project as long as nothing of it is changed", async () => {
    await using sandbox = await makeSandbox();
    const { repository } = sandbox;
    const library = join(repository.folder, "library");
    await mkdir(library);
    await repository.gitIn(library, ["init", "--quiet", "-b", "main"]);
    await writeFile(join(library, "lib.txt"), "library\n");
    await repository.gitIn(library, ["add", "."]);
    await repository.gitIn(library, ["commit", "--quiet", "-m", "library"]);
    const add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", library, "lib"];
    await repository.git(...add);
    await repository.git("commit", "--quiet", "-m", "submodule");
    const run = await runHostile(sandbox, "echo done > hostile.txt");
    await expectBoth(sandbox, run);
    expect(existsSync(join(repository.path, "lib/lib.txt"))).toBe(true);
  });
});

describe("a link that leaves the repository", () => {
  it("lands as the link that it is, and nothing is written where it leads", async () => {
    await using sandbox = await makeSandbox();
    const outside = join(sandbox.repository.folder, "outside");
    await mkdir(outside);
    const script = `ln -s /etc/passwd hostile.txt; ln -s ${outside} out`;
    const run = await runHostile(sandbox, script, { writes: ["hostile.txt", "out"] });
    await expectBoth(sandbox, run);
    const modes = await sandbox.repository.git("ls-tree", "main", "hostile.txt", "out");
    expect(modes.split("\n").map((line) => line.slice(0, 6))).toEqual(["120000", "120000"]);
    expect(await readdir(outside)).toEqual([]);
  });

  it("is not written through by a later task that makes a folder of it", async () => {
    await using sandbox = await makeSandbox();
    const { repository } = sandbox;
    const outside = join(repository.folder, "outside");
    await mkdir(outside);
    await repository.git("checkout", "--quiet", "main");
    await linkOnMain(sandbox, outside);
    const script = "rm out; mkdir out; echo inside > out/file.txt";
    const run = await runHostile(sandbox, script, { writes: ["out", "out/**"] });
    await expectBoth(sandbox, run);
    expect(await readdir(outside)).toEqual([]);
    expect(readFileSync(join(repository.path, "out/file.txt"), "utf8")).toBe("inside\n");
  });
});

async function linkOnMain({ repository }: Sandbox, target: string): Promise<void> {
  const blob = await repository.gitIn(repository.path, ["hash-object", "-w", "--stdin"], target);
  await repository.git("update-index", "--add", "--cacheinfo", `120000,${blob},out`);
  await repository.git("commit", "--quiet", "-m", "a link");
  await repository.git("checkout", "--quiet", "--", ".");
}

const NAMES = [
  "line\nbreak",
  'quote"d',
  "back\\slash",
  "emoji 🎉",
  " -rf ",
  "tab\tbed",
  "\u001B[2Jx",
  "*",
];

describe("names of files that are hard to read", () => {
  const quoted = NAMES.map((name) => `'${name}'`).join(" ");
  const script = `for name in ${quoted}; do echo done > "./$name"; done
    echo done > "$(printf 'latin\\351')"; echo done > hostile.txt`;

  it("land as they are, byte for byte", async () => {
    await using sandbox = await makeSandbox();
    await expectBoth(sandbox, await runHostile(sandbox, script, { writes: ["**"] }));
    const listed = await sandbox.repository.git("ls-tree", "-z", "--name-only", "main");
    for (const name of NAMES) {
      expect(listed.split("\0")).toContain(name);
      expect(readFileSync(join(sandbox.repository.path, name), "utf8")).toBe("done\n");
    }
  });

  it("are sent back where no manifest can declare them, and the manifest stays as it is", async () => {
    await using sandbox = await makeSandbox();
    const run = await runHostile(sandbox, script, { settings: { max_attempts: 2 } });
    await expectOnlyHonest(sandbox, run, "manifest-violated");
    expect(run.stdout + run.stderr).not.toMatch(CONTROL);
    expect(run.stdout + run.stderr).toContain("quote");
    expect(ofType(sandbox.events("r1"), "manifest.violated")).toHaveLength(2);
    expect(writesOf(sandbox)).toEqual(["hostile.txt"]);
  });

  it("widen a manifest by themselves alone, were they patterns to others", async () => {
    await using sandbox = await makeSandbox();
    const script =
      "echo done > hostile.txt; echo done > '*'; echo done > '[id].tsx'; echo done > 'a?'";
    const run = await runHostile(sandbox, script, { settings: { max_attempts: 2 } });
    await expectBoth(sandbox, run);
    expect(writesOf(sandbox).every((glob) => !matchesAny([glob], "other"))).toBe(true);
    expect(writesOf(sandbox).every((glob) => !matchesAny([glob], "ab"))).toBe(true);
  });

  it("are too many to be declared one by one, which is told instead of done", async () => {
    await using sandbox = await makeSandbox();
    const script = `mkdir many; i=0; while [ $i -lt 1100 ]; do : > many/$i; i=$((i + 1)); done
      echo done > hostile.txt`;
    const run = await runHostile(sandbox, script);
    await expectOnlyHonest(sandbox, run, "manifest-violated");
    expect(run.stdout + run.stderr).toContain("1,100");
    expect(writesOf(sandbox)).toEqual(["hostile.txt"]);
  });
});

/** What a terminal would take for more than text. */
// oxlint-disable-next-line no-control-regex -- control characters are what this is about
const CONTROL = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/;

function writesOf({ repository }: Sandbox): readonly string[] {
  const file = join(repository.path, ".mycelium/tasks/hostile-task/manifest.json");
  return manifestSchema.parse(JSON.parse(readFileSync(file, "utf8"))).files.writes;
}
