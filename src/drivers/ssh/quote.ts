import { Failure, invariant } from "../../errors.ts";

/**
 * The one place where an argv becomes text. SSH carries a command as one string, which the login shell of the
 * other side takes apart again (RFC 4254, 6.5); so every word goes between single quotes, inside of which a
 * POSIX shell finds nothing special. The first word is quoted too, or `if`, `time` and `A=b` would not be commands.
 */
export function quote(argv: readonly string[]): string {
  invariant(argv.length > 0, "a command needs at least its name");
  const command = argv.map(quoteWord).join(" ");
  const bytes = Buffer.byteLength(command);
  if (bytes > longestCommandBytes)
    throw new Failure(
      "invalid",
      `the command is ${bytes} bytes long, more than the ${longestCommandBytes} that fit`,
      {
        hint: "send what is long by standard input or as a file",
      },
    );
  return command;
}

/** Linux refuses a single argument of 128 KiB or more (MAX_ARG_STRLEN), and sshd hands the command over as one. */
const longestCommandBytes = 128 * 1024 - 1;

function quoteWord(word: string): string {
  if (word.includes("\0"))
    throw new Failure("invalid", "an argument contains a NUL, which no command can receive");
  // Half of a surrogate pair has no UTF-8: it would arrive as another character than was reviewed.
  if (/\p{Surrogate}/u.test(word))
    throw new Failure("invalid", "an argument is not well-formed Unicode text");
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
