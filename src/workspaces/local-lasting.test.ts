import { localRig } from "../../test/support/local-rig.ts";
import { describeLastingContract } from "./lasting.contract.ts";

describeLastingContract("local", () => localRig(), {
  ownHostName: false,
  networkNone: false,
  limits: false,
  liveForks: false,
  anyHostPort: false,
  console: false,
  filesWhileStopped: true,
});
