/**
 * The other side of the S rows: the same looks and commands, in the same order, by whatever people use for them today. All
 * speak to the same servers as the same user with the same key, check host keys, and are as cold as the product is: what a
 * peer leaves open (the masters of OpenSSH's ControlMaster) is closed after each run.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isInstalled } from "../support/packs.mjs";
import { measureTree, runChild } from "./measure.mjs";
import { clean } from "./product.mjs";

const nodes = ["server1", "server2"];

/** What `--install` brings; zx comes with the tests. */
export const peerPacks = [
  { program: "ansible-playbook", pack: "ansible-core" },
  { program: "fab", pack: "fabric" },
];

/** What is sent, one line each: the node, the command, and the exit status that it has to have. */
function linesOf(steps, files, looks) {
  return Array.from({ length: steps }, (_, i) => {
    const node = nodes[(i + 1) % 2];
    const file = `${files}/step${i + 1}`;
    const command = { node, argv: ["touch", file], code: 0 };
    if (!looks) return [command];
    const look = { node, argv: ["test", "-e", file] };
    return [{ ...look, code: 1 }, command, { ...look, code: 0 }];
  }).flat();
}

/**
 * Peers for the servers of a field, with their files in one folder. Each answers with the wall time of one run of `steps`
 * steps in milliseconds, or is text: why it cannot be measured here.
 */
export function openPeers({ folder, field, files, env, steps = 12 }) {
  mkdirSync(folder, { recursive: true });
  const config = sshConfig(folder, field);
  const place = (name, text) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o755 });
    return path;
  };
  const errors = join(folder, "peer.err");
  const done = () => readdirSync(files).length === steps;
  // The masters go on after the peer, and keep its stderr.
  const timed = async (command, args, more = {}) => {
    const script = 'exec "$@" 2> "$0"';
    const run = await runChild("bash", ["-c", script, errors, command, ...args], {
      env: { ...env, ...more },
    });
    if (run.code !== 0 || !done())
      throw new Error(
        `${command} ${args.join(" ")} ended with ${run.code}: ${run.out.slice(-1000)}${readFileSync(errors, "utf8").slice(-1000)}`,
      );
    return run.ms;
  };
  const cold = (run) => async () => {
    clean(files);
    const ms = await run();
    await endMasters(config, env);
    return ms;
  };
  const openMaster = (node) => {
    const script = 'exec ssh -F "$1" -fN "$2" > "$0" 2>&1';
    return must(runChild("bash", ["-c", script, errors, config, node], { env }));
  };
  const bash = (looks) => place(`bash-${looks}.sh`, bashScript(config, linesOf(steps, files, looks)));
  return {
    bash: (looks) => cold(() => timed("bash", [bash(looks)])),
    /** Wall and CPU time of a cold run, that of its masters included. */
    bashMeasured: (looks) => async () => {
      clean(files);
      const used = await measureTree("bash", [bash(looks)], { env }, errors);
      if (!done()) throw new Error(`the peer did not make its files: ${readFileSync(errors, "utf8")}`);
      return { ...used, cpuMs: used.cpuMs + (await endMasters(config, env)) };
    },
    /** Wall and CPU time with masters that are open already. */
    bashWarm: (looks) => async () => {
      clean(files);
      for (const node of nodes) await openMaster(node);
      const before = (await masters(config, env)).reduce((sum, pid) => sum + cpuOf(pid), 0);
      const used = await measureTree("bash", [bash(looks)], { env }, errors);
      if (!done()) throw new Error(`the peer did not make its files: ${readFileSync(errors, "utf8")}`);
      return { ...used, cpuMs: used.cpuMs + (await endMasters(config, env)) - before };
    },
    zx: (looks) =>
      cold(() =>
        timed(process.execPath, [place(`zx-${looks}.mjs`, zxScript(config, linesOf(steps, files, looks)))]),
      ),
    ansible: (module, looks) => {
      if (!isInstalled("ansible-playbook")) return missing("ansible-playbook");
      const book = place(`${module}-${looks}.yml`, playbook(module, linesOf(steps, files, looks)));
      const hosts = place(
        "hosts",
        `${nodes.map((node) => `${node} ansible_python_interpreter=/usr/bin/python3`).join("\n")}\n`,
      );
      const settings = {
        ANSIBLE_SSH_ARGS: `-F ${config}`,
        ANSIBLE_LOCAL_TEMP: join(folder, "ansible"),
        ANSIBLE_REMOTE_TEMP: join(folder, "ansible-remote"),
        ANSIBLE_NOCOWS: "1",
        LC_ALL: "C.UTF-8",
      };
      return cold(() => timed("ansible-playbook", ["-i", hosts, book], settings));
    },
    fabric: (looks) => {
      if (!isInstalled("fab")) return missing("fabric");
      const script = place(`fabric-${looks}.py`, fabricScript(field, linesOf(steps, files, looks)));
      return async () => {
        clean(files);
        return timed("/usr/bin/python3", [script]);
      };
    },
  };
}

function missing(what) {
  return `${what} is not installed (\`npm run bench -- --install\` brings it, on Debian as root)`;
}

function sshConfig(folder, field) {
  const path = join(folder, "ssh_config");
  const hosts = field.servers.map(({ address, port }, i) =>
    [`Host ${nodes[i]}`, `  HostName ${address}`, `  Port ${port}`].join("\n"),
  );
  const all = [
    "Host *",
    `  User ${field.user}`,
    `  IdentityFile ${field.identity}`,
    "  IdentitiesOnly yes",
    `  UserKnownHostsFile ${field.knownHosts}`,
    "  StrictHostKeyChecking yes",
    "  Ciphers aes128-gcm@openssh.com",
    "  ControlMaster auto",
    "  ControlPersist 60",
    `  ControlPath ${join(folder, "cm-%n")}`,
  ];
  writeFileSync(path, [...hosts, ...all, ""].join("\n"));
  return path;
}

async function must(child) {
  const { code, err = "" } = await child;
  if (code !== 0) throw new Error(`ssh ended with ${code}: ${err}`);
}

/** The process ids of the masters that are open. */
async function masters(config, env) {
  const pids = [];
  for (const node of nodes) {
    const { code, err } = await runChild("ssh", ["-F", config, "-O", "check", node], { env });
    const pid = /pid=(\d+)/.exec(err)?.[1];
    if (code !== 0 || pid === undefined)
      throw new Error(`the peer's master on ${node} was not there: ${err}`);
    pids.push(Number(pid));
  }
  return pids;
}

/** Ends the masters, and answers with the CPU time that they had used, in milliseconds. */
async function endMasters(config, env) {
  const used = (await masters(config, env)).reduce((sum, pid) => sum + cpuOf(pid), 0);
  for (const node of nodes) await must(runChild("ssh", ["-F", config, "-O", "exit", node], { env }));
  return used;
}

/** Nanoseconds on a CPU, as the scheduler counts them. */
function cpuOf(pid) {
  return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e6;
}

function bashScript(config, lines) {
  const sent = lines.map(({ node, argv, code }) => {
    const line = `ssh -F ${config} ${node} ${argv.join(" ")}`;
    return code === 0 ? line : `${line} && exit 1`;
  });
  return ["set -eu", ...sent, ""].join("\n");
}

function zxScript(config, lines) {
  const zx = new URL("../../node_modules/zx/build/index.js", import.meta.url).pathname;
  const sent = lines.map(
    ({ node, argv, code }) =>
      `if ((await on(${JSON.stringify(node)}, ${JSON.stringify(argv)})).exitCode !== ${code}) process.exit(1);`,
  );
  return [
    `import { $ } from ${JSON.stringify(zx)};`,
    `const on = (node, argv) => $({ nothrow: true, quiet: true })\`ssh -F ${config} \${node} \${argv}\`;`,
    ...sent,
    "",
  ].join("\n");
}

function fabricScript(field, lines) {
  const [one, two] = field.servers;
  const open = ({ address, port }) => `connection(${JSON.stringify(address)}, ${port})`;
  return [
    "import sys",
    "from fabric import Connection",
    "from paramiko import RejectPolicy",
    "def connection(address, port):",
    `    c = Connection(address, user=${JSON.stringify(field.user)}, port=port,`,
    `        connect_kwargs={"key_filename": ${JSON.stringify(field.identity)}, "allow_agent": False, "look_for_keys": False})`,
    `    c.client.load_host_keys(${JSON.stringify(field.knownHosts)})`,
    "    c.client.set_missing_host_key_policy(RejectPolicy())",
    "    return c",
    "def on(c, line, code):",
    "    if c.run(line, hide=True, warn=True, in_stream=False).exited != code:",
    "        sys.exit(1)",
    `server1 = ${open(one)}`,
    `server2 = ${open(two)}`,
    ...lines.map(({ node, argv, code }) => `on(${node}, ${JSON.stringify(argv.join(" "))}, ${code})`),
    "",
  ].join("\n");
}

/** One play, one task a command, each where it belongs, as a procedure that alternates between nodes is written. */
function playbook(module, lines) {
  const tasks = lines.flatMap(({ node, argv, code }) => [
    `    - ansible.builtin.${module}: ${argv.join(" ")}`,
    `      delegate_to: ${node}`,
    "      register: out",
    `      failed_when: out.rc != ${code}`,
  ]);
  return ["- hosts: server1", "  gather_facts: false", "  tasks:", ...tasks, ""].join("\n");
}
