/** Least rights as they are printed: for a person to read and save, or as JSON for a program. */
import type { LeastRights } from "./policy-make.ts";

export interface Printed {
  readonly cluster: string;
  readonly runbooks: readonly string[];
  readonly rights: LeastRights;
  /** As the inventory has the nodes. */
  readonly logins: { readonly [node: string]: { readonly user?: string; readonly sudo?: boolean } };
  /** What was left out, and why. */
  readonly notes: readonly string[];
}

/** What a managed policy of IAM takes, blanks not counted. */
const longestPolicy = 6144;
/** Who the lines are for where the inventory logs in as root, who needs none. */
const nobodyYet = "runbook";

export function policyJson(printed: Printed): string {
  const { cluster, runbooks, rights, notes } = printed;
  const sudoers = Object.fromEntries([...rights.sudo.keys()].map((node) => [node, sudoersOf(printed, node)]));
  return `${JSON.stringify({ cluster, runbooks, iam: rights.iam, sudoers, notes: notesOf(printed, notes) }, null, 2)}\n`;
}

export function policyText(printed: Printed): string {
  const { cluster, runbooks, rights, notes } = printed;
  const policy = JSON.stringify(rights.iam, null, 2);
  const files = new Map<string, string[]>();
  for (const node of rights.sudo.keys()) {
    const text = sudoersOf(printed, node);
    files.set(text, [...(files.get(text) ?? []), node]);
  }
  return [
    `# The least rights of ${runbooks.join(", ")} on ${cluster}`,
    "",
    `# IAM policy of who runs it (${JSON.stringify(rights.iam).length} characters of ${longestPolicy})`,
    policy,
    "",
    ...[...files].flatMap(([text, nodes]) => [
      `# sudoers of ${nodes.join(" and ")}: a file of its own in /etc/sudoers.d, mode 0440, checked by visudo -c`,
      text,
    ]),
    "# What is not exact",
    ...notesOf(printed, notes).map((note) => `# - ${note}`),
    "",
  ].join("\n");
}

function sudoersOf({ rights, logins }: Printed, node: string): string {
  const login = logins[node] ?? Object.values(logins)[0];
  const user = login?.sudo === true ? (login.user ?? nobodyYet) : nobodyYet;
  let last = "";
  return (rights.sudo.get(node) ?? [])
    .flatMap(({ method, rules }) => {
      const head = method === last ? [] : [`# ${method}\n`];
      last = method;
      return [...head, ...rules.map((rule) => `${user} ALL=(root) NOPASSWD: ${rule}\n`)];
    })
    .join("");
}

function notesOf({ rights, logins }: Printed, notes: readonly string[]): readonly string[] {
  const methods = new Set(
    [...rights.sudo.values()].flatMap((commands) => commands.map(({ method }) => method)),
  );
  const has = (...wanted: readonly string[]) => wanted.some((method) => methods.has(method));
  const actions = new Set(rights.iam.Statement.flatMap(({ Action }) => Action));
  const withoutSudo = [...rights.sudo.keys()].filter((node) => logins[node]?.sudo !== true);
  const when = (holds: boolean, note: string) => (holds ? [note] : []);
  return [
    ...notes,
    "EC2 knows no resources for Describe calls: they see all of the account's region",
    ...when(
      actions.has("ec2:ModifyInstanceAttribute"),
      "ec2:ModifyInstanceAttribute lets in every attribute of the nodes' instances; it is sent for DeleteOnTermination alone",
    ),
    ...when(
      actions.has("ec2:CreateSnapshot") && !actions.has("ec2:CreateVolume"),
      "ec2:CreateTags on volumes is for the check of rights before a backup: it sets tags on snapshots alone, which do not exist yet when it is asked",
    ),
    ...when(
      methods.size > 0,
      "sudo compares a command with its words joined by blanks; a line's end in a script stands as any control character, and a run's id, its fence (to 99) and sizes as letters and digits of their number",
    ),
    ...when(
      has("nodes.takeMarker"),
      "markers name who runs: the lines are for this user on this machine, so ask on every machine that runs",
    ),
    ...when(
      has("cluster.setMirrorDevices"),
      "partitions are those that are configured now: ask again when they have changed, and before a point from before that is restored",
    ),
    ...when(
      has("nodes.showToLvm"),
      "lines of LVM's devices file can be of any length: where mirrors lie on LVM and there is such a file, a restore needs ALL",
    ),
    ...when(
      has("nodes.listHolders"),
      "the holders of a mount are asked of fuser (psmisc): install it, the way around it cannot be exact",
    ),
    ...when(
      withoutSudo.length > 0,
      `the inventory logs in to ${withoutSudo.join(", ")} without sudo: the lines are for a user "${nobodyYet}" with \`sudo: true\``,
    ),
  ];
}
