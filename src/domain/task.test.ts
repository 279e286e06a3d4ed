import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { manifestSchema, repositoryPathSchema, taskFolderName, taskIdSchema } from "./task.ts";

describe("a task id", () => {
  it.each(["001", "a", "fix-login_2", "v1.2"])("may be %s", (id) => {
    expect(taskIdSchema.safeParse(id).success).toBe(true);
  });

  it.each([
    "",
    "../x",
    "a/b",
    ".a",
    "a..b",
    "a.",
    "a.lock",
    "-a",
    "a b",
    "a\n",
    "é",
    "x".repeat(65),
  ])("may not be %j", (id) => {
    expect(taskIdSchema.safeParse(id).success).toBe(false);
  });
});

describe("a path of a manifest", () => {
  it.each(["src/a.ts", "docs/**", "a b/ü.md", ".github/workflows/x.yml", "app/[id]/page.tsx"])(
    "may be %s",
    (path) => {
      expect(repositoryPathSchema.safeParse(path).success).toBe(true);
    },
  );

  it.each([
    "/etc/passwd",
    "../x",
    "a/../../x",
    ".git/config",
    "a/.git/hooks/x",
    "a\\b",
    "a\u0000b",
    "",
  ])("may not be %j", (path) => {
    expect(repositoryPathSchema.safeParse(path).success).toBe(false);
  });
});

describe("a manifest", () => {
  it("is filled up with what a short one leaves out", () => {
    expect(manifestSchema.parse({ id: "1", name: "Greet" })).toEqual({
      id: "1",
      name: "Greet",
      description: "",
      dependencies: [],
      locks: { reads: [], writes: [] },
      files: { reads: [], writes: [] },
      affected_tests: [],
      test_paths: [],
      tdd_mode: "off",
      verify: {},
      budget: {},
    });
  });

  it("is refused with a key that nobody knows", () => {
    expect(manifestSchema.safeParse({ id: "1", name: "Greet", lock: {} }).success).toBe(false);
  });
});

describe("the folder of a task", () => {
  it("is one path part, whatever the name holds", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 200 }), (name) => {
        expect(taskFolderName({ id: "001", name })).toMatch(/^001-[a-z0-9]+(-[a-z0-9]+)*$/);
      }),
    );
  });
});
