/** What people paste from a message or a page: lines for nodes and for the cloud, with prompts and comments between. */
import { Failure } from "../errors.ts";
import { staticArgv } from "../lab/sh-parse.ts";

export interface PastedLine {
  /** Without one, the line is for the cloud. */
  readonly node: string | undefined;
  readonly command: string;
}

export function parsePasted(text: string, nodes: readonly string[]): readonly PastedLine[] {
  const lines = wholeLines(text)
    .map((line) => line.trim().replace(/^[$#] (?=\S)/, (prompt) => (prompt === "$ " ? "" : prompt)))
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (lines.length === 0)
    throw new Failure("invalid", "there is nothing to type on standard input", {
      hint: 'for example: echo "server1: clpstat" | runbook lab paste',
    });
  return lines.map((line) => parseLine(line, nodes));
}

/** Lines, with those that a quotation spans kept together: a script between quotes is one line to a shell. */
function wholeLines(text: string): readonly string[] {
  const lines: string[] = [];
  let line = "";
  let quote = "";
  for (let i = 0; i < text.length; i += 1) {
    const sign = text[i] ?? "";
    if (sign === "\n" && quote === "") {
      lines.push(line);
      line = "";
      continue;
    }
    line += sign;
    if (sign === "\\" && quote !== "'") line += text[(i += 1)] ?? "";
    else if (sign === quote) quote = "";
    else if (quote === "" && (sign === "'" || sign === '"') && !line.trimStart().startsWith("#"))
      quote = sign;
  }
  return [...lines, line];
}

function parseLine(line: string, nodes: readonly string[]): PastedLine {
  const [, name, rest] = /^([A-Za-z0-9_.-]+):\s+(.+)$/.exec(line) ?? [];
  if (name !== undefined && rest !== undefined) return { node: known(name, nodes), command: rest };
  // What is to be said to the command's questions: there it comes by the connection, here it is typed on the node.
  const [, input, piped] = /^(printf %s '(?:[^']|'\\'')*') \| (ssh .+)$/s.exec(line) ?? [];
  if (input !== undefined && piped !== undefined) {
    const { node, command } = parseLine(piped, nodes);
    return { node, command: `${input} | ${command}` };
  }
  const words = staticArgv(line);
  if (words?.[0] === "aws") return { node: undefined, command: line };
  if (words?.[0] === "ssh") return sshLine(words.slice(1), nodes);
  throw new Failure("invalid", `the lab cannot tell where to type "${line}"`, {
    hint: "write it as: ssh NODE 'COMMAND', or NODE: COMMAND, or aws ec2 …",
  });
}

// Of ssh's options these take a word after them (ssh(1)); they say how to get there, and the lab knows the way.
const optionsWithWord = /^-[a-zA-Z]*[BbcDEeFIiJLlmOoPpQRSWw]$/;

function sshLine(words: readonly string[], nodes: readonly string[]): PastedLine {
  let at = 0;
  while (words[at]?.startsWith("-")) at += optionsWithWord.test(words[at] ?? "") ? 2 : 1;
  const node = known((words[at] ?? "").replace(/^.*@/, ""), nodes);
  // The remote shell gets the words joined by blanks, as from ssh itself.
  const command = words.slice(at + 1).join(" ");
  if (command === "") throw new Failure("invalid", `there is no command after "ssh ${node}"`);
  return { node, command };
}

function known(name: string, nodes: readonly string[]): string {
  if (nodes.includes(name)) return name;
  throw new Failure("not-found", `the lab has no node "${name}"`, { hint: `it has ${nodes.join(", ")}` });
}
