/**
 * S1 and S4: twelve steps on two nodes.
 *
 * A is the product: `runbook run PLAN`, from the start of its process to the end, with the plan made before (as it is
 * for a reviewed run). Only the drivers for the cluster and the cloud are the bench's (drivers.mjs): each step's look is
 * `test -e FILE`, each step's command `touch FILE`, both through the product's ssh driver. The two markers that a run
 * leaves on its nodes are journaled, and not sent. B is a bash script with the same looks and commands, one after the
 * other, over OpenSSH's ControlMaster; its masters are opened by the first commands, as cold as A's connections.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { alternate, row, runChild, timeChild } from "./measure.mjs";

const product = new URL("../../bin/runbook.js", import.meta.url).pathname;
const here = (name) => new URL(name, import.meta.url).pathname;
const steps = Array.from({ length: 12 }, (_, i) => i + 1);

export async function measureSteps({ folder, pairs, field }) {
  const files = join(folder, "files");
  const home = join(folder, "home");
  const env = { ...process.env, HOME: field.home, RUNBOOK_HOME: home, BENCH_FOLDER: files };
  delete env["SSH_AUTH_SOCK"];
  const plan = join(folder, "plan.json");
  const cwd = here(".");
  const preload = ["--import", here("drivers.mjs")];
  clean(files);
  await timeChild(
    process.execPath,
    [...preload, product, "plan", "twelve", "--inventory", field.inventory, "--out", plan],
    () => existsSync(plan),
    { cwd, env },
  );

  const ran = ({ out }) => / succeeded\n/.test(out) && readdirSync(files).length === steps.length;
  const runOf = (args, more) => async () => {
    clean(files);
    rmSync(home, { recursive: true, force: true });
    return timeChild(process.execPath, args, ran, { cwd, env: { ...env, ...more } });
  };
  const cli = [...preload, product, "run", plan, "--inventory", field.inventory];
  const own = [here("journal-run.mjs"), plan, field.inventory];

  const config = sshConfig(folder, field);
  const peerOf = (looks) => {
    const script = join(folder, looks ? "peer.sh" : "peer-without-looks.sh");
    writeFileSync(script, peerScript(config, files, looks));
    return async () => {
      clean(files);
      const errors = join(folder, "peer.err");
      // The masters go on after the script, and keep its stderr.
      const ms = await timeChild(
        "bash",
        ["-c", 'exec bash "$0" 2> "$1"', script, errors],
        () => readdirSync(files).length === steps.length,
        { env },
      );
      for (const node of ["server1", "server2"]) {
        const end = await runChild("ssh", ["-F", config, "-O", "exit", node], { env });
        if (end.code !== 0) throw new Error(`the peer's master on ${node} was not there: ${end.err}`);
      }
      return ms;
    };
  };

  const looks = await alternate({ pairs, a: runOf(cli, {}), b: peerOf(true) });
  const bare = await alternate({ pairs, a: runOf(cli, { BENCH_LOOKS: "memory" }), b: peerOf(false) });
  const journal = await alternate({
    pairs,
    a: runOf(own, { BENCH_STORE: "disk" }),
    b: runOf(own, { BENCH_STORE: "memory" }),
  });
  const times = (measured) => `${Math.round(measured.a)} ms against ${Math.round(measured.b)} ms`;
  return [
    row({
      id: "S1",
      what: "12 steps, 2 nodes, durable journal, with the looks (36 commands each side)",
      goal: 0.75,
      peer: "bash + ControlMaster, cold, no journal",
      measured: looks,
      note: times(looks),
    }),
    row({
      id: "S1",
      what: "the same without looks (12 commands each side)",
      goal: 0.75,
      peer: "bash + ControlMaster, cold, no journal",
      measured: bare,
      note: times(bare),
    }),
    row({
      id: "S4",
      what: "12 steps with looks, journal on disk",
      goal: 1.12,
      peer: "the same run, journal in memory",
      measured: journal,
      note: times(journal),
    }),
  ];
}

function clean(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
}

function sshConfig(folder, field) {
  const path = join(folder, "ssh_config");
  const hosts = field.servers.map(({ address, port }, i) =>
    [`Host server${i + 1}`, `  HostName ${address}`, `  Port ${port}`].join("\n"),
  );
  const all = [
    "Host *",
    `  User ${field.user}`,
    `  IdentityFile ${field.identity}`,
    "  IdentitiesOnly yes",
    `  UserKnownHostsFile ${field.knownHosts}`,
    "  StrictHostKeyChecking yes",
    "  ControlMaster auto",
    "  ControlPersist 60",
    `  ControlPath ${join(field.folder, "cm-%n")}`,
  ];
  writeFileSync(path, [...hosts, ...all, ""].join("\n"));
  return path;
}

function peerScript(config, files, looks) {
  const lines = steps.map((n) => {
    const on = `ssh -F ${config} server${(n % 2) + 1}`;
    const file = `${files}/step${n}`;
    if (!looks) return `${on} touch ${file}`;
    return `${on} test -e ${file} && exit 1\n${on} touch ${file}\n${on} test -e ${file}`;
  });
  return ["set -eu", ...lines, ""].join("\n");
}
