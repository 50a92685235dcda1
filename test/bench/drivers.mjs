/**
 * Loaded before the product (`node --import`): puts drivers of the bench in the place of the cluster's, so that the
 * whole product can run twelve plain commands on any two SSH servers. Everything else is the product: the command line,
 * the inventory, the plan, the engine, the journal, the write layer with its allow-list, and the ssh driver.
 *
 * BENCH_FOLDER: where the commands leave their files. BENCH_LOOKS=memory: looks are answered here, and send nothing.
 */
import { clouds, clusterManagers, operatingSystems } from "../../dist/src/drivers/all.js";
import { cloudContract } from "../../dist/src/ports/cloud.js";
import { clusterContract } from "../../dist/src/ports/cluster-manager.js";
import { nodesContract } from "../../dist/src/ports/nodes.js";

const folder = process.env["BENCH_FOLDER"] ?? "";
const inMemory = process.env["BENCH_LOOKS"] === "memory";

clusterManagers["clusterpro"] = async ({ shell }) => {
  const sent = new Set();
  return driver("bench", clusterContract, {
    reads: {
      findDeadMan: async () => undefined,
      findGroupNode: async ({ group, via }) => {
        if (inMemory) return sent.has(group) ? via : undefined;
        const out = await shell.run(via, ["test", "-e", `${folder}/${group}`], { timeoutMs: 10_000 });
        if (out.code !== 0 && out.code !== 1) throw new Error(`the look for ${group} ended with ${out.code}`);
        return out.code === 0 ? via : undefined;
      },
    },
    requests: {
      startGroup: ({ group, node }) => ({
        to: "node",
        verb: "cluster.startGroup",
        node,
        argv: ["touch", `${folder}/${group}`],
      }),
    },
    send: async (request) => {
      const out = await shell.run(request.node, request.argv, { timeoutMs: 10_000 });
      if (out.code !== 0) throw new Error(`${request.argv.join(" ")} ended with ${out.code}`);
      sent.add(request.argv[1].split("/").at(-1));
      return { code: out.code, text: "" };
    },
  });
};

// Both nodes are this machine, which could carry one marker only: it is kept here, and no command is sent for it.
operatingSystems["linux"] = async () => {
  const markers = new Map();
  const request = (verb) => (args) => ({
    to: "node",
    verb: `nodes.${verb}`,
    node: args.node,
    argv: [verb, args.run],
  });
  return driver("bench", nodesContract, {
    reads: {
      getMarker: async (node) => {
        const run = markers.get(node);
        return run === undefined
          ? { held: false }
          : { held: true, marker: { run, owner: "bench", fence: 1, secondsLeft: 900 } };
      },
      findBoot: async () => ({ bootId: "bench", uptimeSeconds: 1000 }),
    },
    requests: Object.fromEntries(
      Object.keys(nodesContract)
        .filter((name) => nodesContract[name].kind === "write")
        .map((name) => [name, request(name)]),
    ),
    send: async ({ node, argv }) => {
      if (argv[0] === "releaseMarker") markers.delete(node);
      else markers.set(node, argv[1]);
      return { code: 0, text: "" };
    },
  });
};

clouds["aws"] = async () =>
  Object.assign(driver("bench", cloudContract, {}), { endpoint: async () => "no cloud" });

/** A driver of which only what is given works. */
function driver(name, contract, { reads = {}, requests = {}, send = unused("send") }) {
  const all = Object.keys(contract);
  return {
    name,
    reads: Object.fromEntries(all.map((method) => [method, reads[method] ?? unused(method)])),
    requests: Object.fromEntries(all.map((method) => [method, requests[method] ?? unused(method)])),
    send,
    close: async () => undefined,
  };
}

function unused(method) {
  return () => {
    throw new Error(`the bench has no ${method}`);
  };
}
