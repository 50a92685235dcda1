/** What an inventory says of approvals: how many people must have signed a plan before it is run, and who may. */
import type * as Valibot from "valibot";

export interface ApprovalEntry {
  /** How many different people. */
  readonly need: number;
  /** Absolute path of a file as ssh-keygen(1) tells under ALLOWED SIGNERS. */
  readonly signers: string;
  /** Whoever starts the run is not counted. */
  readonly notStarter: boolean;
  /** An approval counts for so long at most. */
  readonly hours: number;
  /** The runbooks whose plans need it; undefined for all. */
  readonly runbooks?: readonly string[];
}

/** valibot is handed in, because it is loaded only when an inventory is read. */
export function approvalSchema(v: typeof Valibot) {
  const names = "a list of names of runbooks";
  const whole = (least: number, most: number) => {
    const what = `a whole number from ${least} to ${most}`;
    return v.pipe(v.number(what), v.integer(what), v.minValue(least, what), v.maxValue(most, what));
  };
  const path = "a path, absolute, below ~/ or relative to this file";
  return v.object(
    {
      need: v.optional(whole(1, 5)),
      signers: v.pipe(v.string(path), v.regex(/^(?!~[^/])[^\0\n-][^\0\n]*$/, path)),
      notStarter: v.optional(v.boolean("true or false")),
      hours: v.optional(whole(1, 720)),
      runbooks: v.optional(v.pipe(v.array(v.string(names), names), v.minLength(1, names))),
    },
    "a mapping of names to values",
  );
}

export type ApprovalFile = Valibot.InferOutput<ReturnType<typeof approvalSchema>>;

/** One person other than the starter, for a day: what is left out is the careful choice. */
export function finishApprovals(file: ApprovalFile, absolute: (path: string) => string): ApprovalEntry {
  const { need = 1, signers, notStarter = true, hours = 24, runbooks } = file;
  return { need, signers: absolute(signers), notStarter, hours, ...(runbooks && { runbooks }) };
}
