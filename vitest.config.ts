import { defineConfig } from "vitest/config";

const shared = {
  globalSetup: ["./test/support/packed-program.ts"],
  testTimeout: 120_000,
  hookTimeout: 120_000,
};

export default defineConfig({
  test: {
    reporters: ["default", "./test/support/closing-line-reporter.ts"],
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...shared,
          name: "suite",
          include: ["src/**/*.test.ts", "test/**/*.test.ts"],
          exclude: ["test/alone/**", "**/node_modules/**"],
          sequence: { groupOrder: 0 },
        },
      },
      {
        // What depends on time has the machine to itself, after all else.
        test: {
          ...shared,
          name: "alone",
          include: ["test/alone/**/*.test.ts"],
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
