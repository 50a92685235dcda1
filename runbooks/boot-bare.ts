/**
 * Boot the nodes that are off, with their data volumes detached and outside of the cluster.
 *
 * For the worst day: a node that is off could not be told to stay out of the cluster, so it is never booted with a restored
 * volume. Here it comes up without any mirror, and is told then; `restore` begins from there. Nothing serves meanwhile that
 * did not serve before. On failure the volumes go back into their places, and the node is off again.
 *
 * Source: CLUSTERPRO reference, procedure R1 and the failure table (8); design 4.
 */
import {
  bareTold,
  bareVolumes,
  holdBooted,
  nobodyElse,
  nodesOff,
  oneOf,
  roomInStore,
  runbook,
} from "runbook";

import { bareBooted, bareDetached, bareOut, bareTagged } from "./steps/bare.ts";

export default runbook<{ volumes: "mirrors" | "all" }>({
  title: "Boot the nodes that are off, without their data volumes and outside of the cluster",
  params: { volumes: oneOf("mirrors", "all") },
  steps: () => ({
    nobodyElse,
    nodesOff,
    bareVolumes,
    roomInStore,
    bareTold,

    bareTagged,
    bareDetached,
    bareBooted,
    holdBooted,
    bareOut,
  }),
});
