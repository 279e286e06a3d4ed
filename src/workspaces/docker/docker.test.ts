import { dockerRig } from "../../../test/support/docker-rig.ts";
import { describeWorkspaceContract } from "../workspace.contract.ts";

describeWorkspaceContract("docker", () => dockerRig("mt:1"));
