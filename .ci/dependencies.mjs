// What of the dependencies can be looked at without running them: that none needs to run anything to be installed, that each
// is pinned by a hash, and, where the registry answers audits, that none is known to be bad. Exits 1 if one is.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Packages with an install script that nothing needs, and why nothing does. */
const needless = {
  ssh2: "it builds a faster cipher, and uses Node's own where that could not be built",
  "cpu-features": "optional: it tells ssh2 in which order to offer ciphers, and ssh2 has an order of its own",
};

/** What is wrong with a lock file, as sentences. */
export function wrongIn(lock) {
  const packages = Object.entries(lock.packages)
    .filter(([path]) => path !== "")
    .map(([path, rest]) => ({ ...rest, name: path.slice(path.lastIndexOf("node_modules/") + 13) }));
  const scripts = packages.filter(({ hasInstallScript }) => hasInstallScript === true);
  return [
    ...scripts
      .filter(({ name }) => !Object.hasOwn(needless, name))
      .map(
        ({ name, version }) =>
          `${name} ${version} wants to run a script when it is installed: show that it works without, and give the reason in .ci/dependencies.mjs`,
      ),
    ...Object.keys(needless)
      .filter((name) => !scripts.some((each) => each.name === name))
      .map((name) => `${name} has no install script any more: take it off the list in .ci/dependencies.mjs`),
    ...packages
      .filter(({ integrity, link }) => link !== true && !/^sha512-/.test(integrity ?? ""))
      .map(({ name, version }) => `${name} ${version} is not pinned by a hash (integrity, sha512)`),
  ];
}

/**
 * What an answer of `npm audit --json` says: the bad packages, or why there is no answer. What runs beside a cluster may have no
 * known fault at all; of what only builds and tests, high and critical ones count.
 */
export function auditOf(text, least) {
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    return { why: "npm audit did not answer in JSON", bad: [] };
  }
  if (answer.auditReportVersion === undefined || typeof answer.vulnerabilities !== "object")
    return { why: answer.error?.summary || answer.message || "npm audit gave no report", bad: [] };
  const order = ["info", "low", "moderate", "high", "critical"];
  return {
    bad: Object.values(answer.vulnerabilities)
      .filter(({ severity }) => order.indexOf(severity) >= order.indexOf(least))
      .map(({ name, severity, range }) => `${name} ${range ?? ""} is known to be bad (${severity})`),
  };
}

function audit() {
  const bad = [];
  for (const { what, args, least } of [
    { what: "what runs", args: ["--omit=dev"], least: "info" },
    { what: "what builds and tests", args: [], least: "high" },
  ]) {
    const { stdout, error } = spawnSync("npm", ["audit", "--json", ...args], {
      encoding: "utf8",
      timeout: 120_000,
    });
    const said = error === undefined ? auditOf(stdout, least) : { why: error.message, bad: [] };
    console.log(
      said.why === undefined
        ? `audited, ${what}: ${said.bad.length === 0 ? "nothing known" : `${said.bad.length} bad`}`
        : `not audited, ${what}: ${said.why}`,
    );
    bad.push(...said.bad);
  }
  return bad;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const lock = JSON.parse(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8"));
  const wrong = [...wrongIn(lock), ...audit()];
  for (const line of wrong) console.log(line);
  console.log(`dependencies: ${Object.keys(lock.packages).length - 1} looked at, ${wrong.length} wrong`);
  process.exitCode = wrong.length > 0 ? 1 : 0;
}
