import { describe, expect, it } from "vitest";
import { manifestSchema, type Manifest } from "../domain/task.ts";
import { findViolations, rescope } from "./manifest.ts";

const manifest = (fields: Partial<Manifest>): Manifest =>
  manifestSchema.parse({ id: "1", name: "Task", ...fields });

const RESOURCES = [
  { name: "api", paths: ["src/api/**"] },
  { name: "docs", paths: ["docs/**", "README.md"] },
];

describe("the manifest gate", () => {
  it("lets through what is declared and locked, by literal path or glob", () => {
    const allowed = manifest({
      files: { reads: [], writes: ["src/api/**", "README.md"] },
      locks: { reads: [], writes: ["api", "docs"] },
    });
    expect(findViolations(allowed, ["src/api/deep/a.ts", "README.md"], RESOURCES)).toEqual([]);
  });

  it("names each path that is not declared and each resource that is not write-locked", () => {
    const narrow = manifest({
      files: { reads: ["docs/a.md"], writes: ["src/api/a.ts"] },
      locks: { reads: ["api"], writes: [] },
    });
    expect(findViolations(narrow, ["src/api/a.ts", "docs/a.md"], RESOURCES)).toEqual([
      { kind: "resource-not-locked", path: "src/api/a.ts", resource: "api" },
      { kind: "file-not-declared", path: "docs/a.md", resource: null },
      { kind: "resource-not-locked", path: "docs/a.md", resource: "docs" },
    ]);
  });

  it("takes the lock of the whole repository, or of a parent, for a resource's own", () => {
    const resources = [{ name: "web/css", paths: ["css/**"] }];
    for (const lock of ["repo", "web", "web/css"]) {
      const locked = manifest({
        files: { reads: [], writes: ["css/**"] },
        locks: { reads: [], writes: [lock] },
      });
      expect(findViolations(locked, ["css/a.css"], resources)).toEqual([]);
    }
  });
});

describe("a rescope", () => {
  it("allows exactly what was written, and promotes reads to writes", () => {
    const before = manifest({
      files: { reads: ["docs/a.md", "b.md"], writes: ["x.ts"] },
      locks: { reads: ["docs"], writes: [] },
    });
    const paths = ["docs/a.md", "x.ts", "app/[id]/page.tsx"];
    const { manifest: after } = rescope(before, findViolations(before, paths, RESOURCES));
    expect(after.files).toEqual({
      reads: ["b.md"],
      writes: ["x.ts", "app/[id]/page.tsx", "docs/a.md"],
    });
    expect(after.locks).toEqual({ reads: [], writes: ["docs"] });
    expect(findViolations(after, paths, RESOURCES)).toEqual([]);
  });
});
