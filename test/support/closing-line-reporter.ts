import type { Reporter, TestModule } from "vitest/node";

/** Ends the run with one plain line of counts, and names every suite that did not run, with why. */
export default class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    for (const module of modules) {
      let failedTests = 0;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === "failed") failedTests += 1;
        else if (state === "passed") counts.passed += 1;
        else counts.skipped += 1;
      }
      // A file that cannot be loaded, or whose hooks fail, has no failed test of its own.
      counts.failed += module.state() === "failed" ? Math.max(1, failedTests) : failedTests;
    }
    console.log(
      `tests: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`,
    );
  }
}
