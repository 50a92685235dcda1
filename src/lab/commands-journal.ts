/** The system's log of a node, as journalctl and /var/log/messages show it. */
import { gapIn, splitOption } from "./command-words.ts";
import { toByteString } from "./bytes.ts";
import type { LabNode } from "./node.ts";
import type { CommandFunction } from "./process.ts";

interface Entry {
  readonly bootId: string;
  readonly at: number;
  readonly uptimeMs: number;
  readonly identifier: string;
  readonly message: string;
}

export class Journal {
  readonly #node: LabNode;
  readonly entries: Entry[] = [];

  constructor(node: LabNode) {
    this.#node = node;
  }

  /** Kept over boots, in the journal as in the file. */
  write(identifier: string, message: string): void {
    const { files, heart, bootId, name, uptimeSeconds } = this.#node;
    const entry = { bootId, at: heart.clock.now(), uptimeMs: uptimeSeconds * 1000, identifier, message };
    this.entries.push(entry);
    const path = "/var/log/messages";
    const old = files.find(path)?.kind === "file" ? files.read(path) : "";
    files.plant(path, `${old}${short(entry, name)}`);
  }
}

/** "Mar  1 09:00:00 server1 clusterpro: …" */
function short({ at, identifier, message }: Entry, node: string): string {
  const [, day = "", month = ""] = /^\w+, (\d+) (\w+)/.exec(new Date(at).toUTCString()) ?? [];
  const time = new Date(at).toISOString().slice(11, 19);
  return `${month} ${String(Number(day)).padStart(2)} ${time} ${node} ${identifier}: ${message}\n`;
}

export const journalctl: CommandFunction = (context) => {
  const { node } = context;
  let json = false;
  let boot = false;
  let from = -Infinity;
  const args = context.argv.slice(1);
  for (let index = 0; index < args.length; index += 1) {
    const [option = "", inline] = splitOption(args[index] as string);
    const value = () => inline ?? args[(index += 1)] ?? "";
    switch (option) {
      case "-b":
        boot = true;
        break;
      case "-q":
      case "--quiet":
      case "--no-pager":
        break;
      case "-o":
      case "--output": {
        const format = value();
        if (format !== "json" && format !== "short") gapIn(context, `the output ${format}`);
        json = format === "json";
        break;
      }
      case "--since": {
        const [, seconds] = /^-(\d+)s$/.exec(value()) ?? gapIn(context, "another form of --since");
        from = node.heart.clock.now() - Number(seconds) * 1000;
        break;
      }
      default:
        gapIn(context, `option ${option}`);
    }
  }
  for (const entry of node.journal.entries) {
    if ((boot && entry.bootId !== node.bootId) || entry.at < from) continue;
    context.out(
      json
        ? `${toByteString(
            JSON.stringify({
              __REALTIME_TIMESTAMP: String(Math.round(entry.at * 1000)),
              __MONOTONIC_TIMESTAMP: String(Math.round(entry.uptimeMs * 1000)),
              _BOOT_ID: entry.bootId.replaceAll("-", ""),
              PRIORITY: "6",
              _HOSTNAME: node.name,
              SYSLOG_IDENTIFIER: entry.identifier,
              MESSAGE: entry.message,
            }),
          )}\n`
        : short(entry, node.name),
    );
  }
  return 0;
};
