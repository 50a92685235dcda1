/** Text from a journal as it may stand in HTML or Markdown: it stays text, whatever it says, and stays in its place. */
import { harmless, oneLine } from "./format.ts";

/** For an element's text or a quoted attribute. No tag, nothing that steers a terminal or the direction of writing. */
export function escapeHtml(text: string): string {
  return escapeOwn(oneLine(text));
}

/** For our own words: their spaces at the ends join them to what follows. */
export function escapeOwn(text: string): string {
  return text.replace(/[&<>"'`]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** Line breaks and tabs of a script stay: a command that is pasted has to be the one that was planned. */
export function escapeCode(text: string): string {
  return escapeOwn(harmlessLines(text));
}

export function harmlessLines(text: string): string {
  return text
    .split(/([\n\t])/)
    .map((part) => (part === "\n" || part === "\t" ? part : harmless(part)))
    .join("");
}

/**
 * For a paragraph, a list's item or a table's cell. Signs that Markdown would act on are written so that it does not; a
 * pipe as an entity, because a backslash before it could itself be taken for the text's own.
 */
export function escapeMarkdown(text: string): string {
  return oneLine(text)
    .replace(/[\\`*_[\]~#!]/g, "\\$&")
    .replace(/[&<>|]/g, (sign) => `&#${sign.charCodeAt(0)};`)
    .replace(/:(?=\/\/)|(?<=\bwww)\./gi, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** As code where that is possible without a sign that could end it; else as text. */
export function markdownCode(text: string): string {
  const line = oneLine(text);
  return line === "" || /[`|]|^ | $/.test(line) ? escapeMarkdown(line) : `\`${line}\``;
}

/** A block of code, with a fence that its text cannot close. */
export function fenced(lines: readonly string[]): string {
  const text = lines.map(harmlessLines).join("\n");
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(Math.max(3, longest + 1));
  return `${fence}text\n${text}\n${fence}`;
}
