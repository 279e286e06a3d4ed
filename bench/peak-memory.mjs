/**
 * For `node --import`: at the end of the process, writes its peak resident memory in bytes into the
 * file that MYCELIUM_BENCH_PEAK_MEMORY names.
 *
 * From the kernel's high-water mark and not from getrusage, whose figure also covers what stood in
 * the process before it became this program.
 */
import { readFileSync, writeFileSync } from "node:fs";

const file = process.env.MYCELIUM_BENCH_PEAK_MEMORY;
delete process.env.MYCELIUM_BENCH_PEAK_MEMORY;

process.on("exit", () => {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  writeFileSync(file, String(Number(kilobytes) * 1024));
});
