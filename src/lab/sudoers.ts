/**
 * `sudo -n` on a node, as far as its rules go: a list in the form of sudoers(5), of which `USER ALL=(root) NOPASSWD: COMMAND`
 * and comments are known, and whether it lets a command line through. As in sudo, the words of the line are joined by blanks
 * and compared as one text with the rule's, by fnmatch(3); held against sudo itself in test/cli/policy-sudo.slow.test.ts.
 */
import { Failure } from "../errors.ts";
import type { Shell } from "../ports/shell.ts";

export interface Sudoers {
  /** The rule that lets it through, as it stands in the list. */
  find(argv: readonly string[]): string | undefined;
}

/** Where sudo finds programs, by their names; /bin and /usr/bin are one folder. */
const folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

export function readSudoers(text: string, user: string): Sudoers {
  const rules = text.split("\n").flatMap((line) => {
    if (line === "" || line.startsWith("#")) return [];
    const [, who, path = "", args = ""] = /^(\S+) ALL=\(root\) NOPASSWD: (\/\S+)(?: (.*))?$/.exec(line) ?? [];
    if (who === undefined)
      throw new Error(`the lab does not model this line of sudoers: ${line.slice(0, 200)}`);
    return who === user ? [{ line, path, args: asRegExp(unescaped(args)) }] : [];
  });
  return {
    find: ([program = "", ...args]) => {
      const given = args.join(" ");
      const isProgram = (path: string) => folders.some((folder) => path === `${folder}/${program}`);
      return rules.find(({ path, args: pattern }) => isProgram(path) && pattern.test(given))?.line;
    },
  };
}

/**
 * Every command goes through `sudo -n` first, by a user who is not root. What is not let through is refused in sudo's words,
 * and as the SSH driver tells of it.
 */
export function withSudo(
  run: Shell["run"],
  sudoersOf: (node: string) => Sudoers,
  heard: (node: string, argv: readonly string[], by: string | undefined) => void,
): Shell["run"] {
  return async (node, argv, options) => {
    const by = sudoersOf(node).find(argv);
    heard(node, argv, by);
    if (by !== undefined) return run(node, argv, options);
    // It looks for a password first, and says nothing of a rule.
    const said = "sudo: a password is required";
    throw new Failure("denied", `sudo on ${node} does not let us run ${argv[0] ?? ""}: ${said}`, {
      answer: { code: 1, text: said },
    });
  };
}

/** What sudo's own reader makes of the text: blanks are one, a backslash is taken from the letters that it keeps from it. */
function unescaped(args: string): string {
  if (/(?<!\\)[,:=#]/.test(args))
    throw new Error(`sudoers wants these letters escaped: ${args.slice(0, 200)}`);
  return args.replace(/(?<!\\) +/g, " ").replace(/\\([\\,:=# \t])/g, "$1");
}

/** fnmatch(3) without flags. */
function asRegExp(pattern: string): RegExp {
  let made = "";
  for (let at = 0; at < pattern.length; at += 1) {
    const letter = pattern.charAt(at);
    if (letter === "\\") made += quoted(pattern.charAt((at += 1)));
    else if (letter === "*") made += ".*";
    else if (letter === "?") made += ".";
    else if (letter === "[") {
      const [set = ""] = /^\[!?(?:\[:[a-z]+:\]|[^\]])+\]/.exec(pattern.slice(at)) ?? [];
      if (set === "") throw new Error(`the lab does not model this class: ${pattern.slice(at, at + 40)}`);
      made += set.replace("[:cntrl:]", "\\x00-\\x1f\\x7f").replace(/^\[!/, "[^");
      at += set.length - 1;
    } else made += quoted(letter);
  }
  return new RegExp(`^${made}$`, "s");
}

const quoted = (letter: string) => letter.replace(/[.*+?^${}()|[\]\\]/, "\\$&");
