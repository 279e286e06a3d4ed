import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const TOP = join(import.meta.dirname, "..");

interface LockedPackage {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly optional?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

describe.each([".", "test/clients"])("the lock file of %s", (folder) => {
  const text = readFileSync(join(TOP, folder, "package-lock.json"), "utf8");
  const { packages } = JSON.parse(text) as {
    readonly packages: Readonly<Record<string, LockedPackage>>;
  };
  const all = Object.entries(packages);
  const installed = all.filter(([path]) => path !== "");

  test("names no registry, so that any that has the packages will do", () => {
    expect(installed.length).toBeGreaterThan(100);
    expect(installed.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
    expect(text).not.toMatch(/registry\.|\.tgz/);
  });

  test("says of every package that all systems need what it must be, to the byte", () => {
    const needed = installed.filter(([, { optional }]) => optional !== true);
    const loose = needed.filter(([, { integrity }]) => integrity?.startsWith("sha512-") !== true);
    expect(loose.map(([path]) => path)).toEqual([]);
  });

  test("holds what other systems need as well", () => {
    const wanted = all.flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).map((name) => ({ path, name })),
    );
    expect(wanted.length).toBeGreaterThan(10);
    expect(wanted.filter(({ path, name }) => !isFound(packages, path, name))).toEqual([]);
  });

  test("stands for the manifest beside it, whose versions are exact", () => {
    const manifest = JSON.parse(
      readFileSync(join(TOP, folder, "package.json"), "utf8"),
    ) as LockedPackage;
    const { dependencies, devDependencies } = packages[""] ?? {};
    expect({ dependencies, devDependencies }).toEqual({
      dependencies: manifest.dependencies,
      devDependencies: manifest.devDependencies,
    });
    const named = Object.entries({ ...dependencies, ...devDependencies });
    expect(named.length).toBeGreaterThan(1);
    for (const [name, version] of named) {
      expect({ name, version: packages[`node_modules/${name}`]?.version }).toEqual({
        name,
        version,
      });
    }
  });
});

/** As Node would look for it: in the package's own folder, then in each above. */
function isFound(
  packages: Readonly<Record<string, LockedPackage>>,
  path: string,
  name: string,
): boolean {
  const inside = path === "" ? "" : `${path}/`;
  if (`${inside}node_modules/${name}` in packages) return true;
  if (path === "") return false;
  return isFound(packages, path.replace(/(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/]+$/, ""), name);
}
