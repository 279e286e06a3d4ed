import { keepYoungMemorySmall } from "../lib/young-memory.ts";
import { runProgram } from "./program.ts";
import { openTerminal } from "./terminal.ts";

keepYoungMemorySmall();
process.exitCode = await runProgram(process.argv.slice(2), openTerminal());
