import { keepPort } from "../../src/workspaces/ports/keep-port.ts";

/** A keeper of a port that says what it hears back in capitals, behind its port and arguments. */
keepPort((caller, { guestPort, args }) => {
  caller.write(`${guestPort} ${args.join(" ")} `);
  caller.on("data", (heard: Buffer) => caller.write(heard.toString().toUpperCase()));
  caller.on("end", () => caller.end());
});
