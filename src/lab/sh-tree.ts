/** The tree of a command line: what `sh-parse.ts` makes and `sh.ts` carries out. */

export type Part =
  | { readonly kind: "text"; readonly text: string; readonly quoted: boolean }
  | {
      readonly kind: "parameter";
      readonly name: string;
      readonly operator: string | undefined;
      readonly argument: Word;
      readonly quoted: boolean;
    }
  | { readonly kind: "command"; readonly body: Command; readonly quoted: boolean }
  | { readonly kind: "sum"; readonly expression: Word; readonly quoted: boolean };

export type Word = readonly Part[];

export interface Redirection {
  readonly fd: number;
  readonly operator: "<" | ">" | ">>" | ">&" | "<&";
  readonly target: Word;
}

export type Command =
  | {
      readonly kind: "simple";
      readonly sets: readonly { readonly name: string; readonly value: Word }[];
      readonly words: readonly Word[];
      readonly redirections: readonly Redirection[];
    }
  | { readonly kind: "pipe"; readonly stages: readonly Command[]; readonly negated: boolean }
  | { readonly kind: "and" | "or"; readonly left: Command; readonly right: Command }
  | {
      readonly kind: "list";
      readonly items: readonly { readonly command: Command; readonly background: boolean }[];
    }
  | {
      readonly kind: "if";
      readonly branches: readonly { readonly test: Command; readonly body: Command }[];
      readonly other: Command | undefined;
    }
  | { readonly kind: "loop"; readonly until: boolean; readonly test: Command; readonly body: Command }
  | {
      readonly kind: "for";
      readonly name: string;
      readonly words: readonly Word[] | undefined;
      readonly body: Command;
    }
  | {
      readonly kind: "case";
      readonly subject: Word;
      readonly branches: readonly { readonly patterns: readonly Word[]; readonly body: Command }[];
    }
  | { readonly kind: "function"; readonly name: string; readonly body: Command }
  | { readonly kind: "group" | "subshell"; readonly body: Command }
  | { readonly kind: "redirected"; readonly body: Command; readonly redirections: readonly Redirection[] };
