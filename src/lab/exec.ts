/** How a command arrives at a node: its streams, its end, and what it is under its wrappers. */
import { toByteString } from "./bytes.ts";
import { Input } from "./process.ts";

export interface ExecIo {
  readonly stdin?: AsyncIterable<Uint8Array> | Uint8Array | string;
  stdout(chunk: Uint8Array): void;
  stderr(chunk: Uint8Array): void;
}

/** Neither code nor signal: the session was cut, and nothing more is known. */
export interface ExecResult {
  readonly code?: number;
  readonly signal?: string;
}

export function inputOf(stdin: ExecIo["stdin"]): Input {
  if (stdin === undefined) return new Input("");
  if (typeof stdin === "string" || stdin instanceof Uint8Array) return new Input(toByteString(stdin));
  const chunks = stdin;
  return new Input(
    "",
    (async function* () {
      for await (const chunk of chunks) yield toByteString(chunk);
    })(),
  );
}

/** What a command is when the wrappers are taken off: the fence of a run, `env A=B`, `sudo -n`. */
export function unwrapped(argv: readonly string[]): readonly string[] {
  let rest = argv;
  for (;;) {
    if (rest[0] === "sh" && rest[1] === "-c" && rest[3] === "runbook-fence") rest = rest.slice(5);
    else if (rest[0] === "env") {
      const at = rest.findIndex((word, index) => index > 0 && !/^[A-Za-z_][A-Za-z0-9_]*=/.test(word));
      if (at < 0 || rest[at]?.startsWith("-")) return rest;
      rest = rest.slice(at);
    } else if (rest[0] === "sudo")
      rest = rest.slice(1).filter((word, index, all) => !isSudoOption(all, index, word));
    else return rest;
  }
}

const isSudoOption = (words: readonly string[], index: number, word: string): boolean =>
  word.startsWith("-") && words.slice(0, index).every((before) => before.startsWith("-"));

/** A script by its name and arguments, anything else as it is. */
export function oneLine(argv: readonly string[]): string {
  const [command, option, , name, ...args] = argv;
  return command === "sh" && option === "-c" && name !== undefined
    ? [name, ...args].join(" ")
    : argv.join(" ");
}
