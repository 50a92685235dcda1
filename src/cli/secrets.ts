/**
 * The secrets that the environment holds, taken out of whatever is kept or shown.
 *
 * A value that a node, a cloud or a person said is masked whatever it looks like. Runbook's own words, names and ids are
 * another matter: `TOKEN=standby` must not blank a word out of every page, nor a node's name out of a journal that a
 * resume reads again. There only a value that is surely a secret is masked: no mere word, and nothing that the plan says.
 */
import { Failure } from "../errors.ts";
import type { Plan } from "../runbook/plan.ts";

type Environment = { readonly [name: string]: string | undefined };
type Mask = (text: string) => string;

/** Shorter values are found in everything by accident. */
const shortest = 6;
const instead = "(secret)";

/** Masks every secret of the environment: for what nodes, clouds and people said. */
export function maskSecrets(env: Environment): Mask {
  return maskOf(secretsIn(env).map(({ value }) => value));
}

/** Masks what is surely a secret, and writes what could steer a terminal as its number: for all that is printed. */
export function guardOutput(env: Environment): Mask {
  const mask = maskOf(sureIn(env));
  // The second set of control characters is what JSON leaves as it is; as \u009b it means the same in JSON.
  return (text) => mask(text).replace(/[\u007f-\u009f]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
}

/** Everything that this process prints goes through the guard. */
export function guardStreams(streams: readonly NodeJS.WriteStream[], env: Environment): void {
  const guard = guardOutput(env);
  for (const stream of streams) {
    const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
    stream.write = (chunk: unknown, ...rest: unknown[]) =>
      write(typeof chunk === "string" ? guard(chunk) : chunk, ...rest);
  }
}

/** What a row may say freely; everything else in it is what a resume goes by. */
const free = new Set(["message", "hint", "text", "why", "told", "answer"]);

/** Masks what is kept, as a row of the journal, before it is written. What `said` holds, the plan as JSON, stays. */
export function concealFor(said: string, env: Environment): <T>(body: T) => T {
  if (secretsIn(env).length === 0) return (body) => body;
  const mask = maskSecrets(env);
  const sure = maskOf(sureIn(env).filter((value) => !said.includes(inJson(value))));
  const conceal = (value: unknown, how: Mask): unknown => {
    if (typeof value === "string") return how(value);
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map((each) => conceal(each, how));
    return Object.fromEntries(
      Object.entries(value).map(([key, held]) => [key, conceal(held, free.has(key) ? mask : how)]),
    );
  };
  return <T>(body: T) => conceal(body, sure) as T;
}

/** A plan is sent as it stands, so nothing can be masked in it: one that holds a secret is not made. */
export function assertHoldsNoSecret(plan: Plan, env: Environment): void {
  const { source, ...rest } = plan;
  const said = JSON.stringify(rest);
  const found = secretsIn(env).find(
    ({ value }) =>
      value.length >= 12 &&
      !isWord(value) &&
      said.includes(inJson(value)) &&
      !JSON.stringify([source, plan.runbook, plan.cluster, plan.members]).includes(inJson(value)),
  );
  if (found)
    throw new Failure("precondition", `the plan would hold the secret that $${found.name} holds`, {
      hint: `look for it in the inventory (hooks, checks) and in tags; if it is no secret, run without $${found.name}`,
    });
}

interface Secret {
  readonly name: string;
  readonly value: string;
}

const secretName =
  /SECRET|TOKEN|PASS(WORD|WD|PHRASE)|PRIVATE|CREDENTIAL|(API|ACCESS|SIGNING|ENCRYPTION)_?KEY$|_PWD$/i;
/** These hold where a secret is, or what it is called. */
const aboutSecret = /_(FILE|PATH|DIR|NAME|ARN|ENDPOINT|TYPE)$/i;
const passwordInUrl = /^[a-z][a-z0-9+.-]*:\/\/[^/@\s:]*:([^/@\s]+)@/i;

function secretsIn(env: Environment): readonly Secret[] {
  return Object.entries(env).flatMap(([name, value = ""]) => {
    const password = passwordInUrl.exec(value)?.[1];
    const held = secretName.test(name) && !aboutSecret.test(name) ? linesOf(value) : [];
    return [...held, ...(password === undefined ? [] : [password])]
      .filter((secret) => secret.trim().length >= shortest)
      .map((secret) => ({ name, value: secret }));
  });
}

/** Of a key in PEM each line tells a part of it, and the first and the last tell nothing. */
function linesOf(value: string): readonly string[] {
  const telling = value.split(/\r?\n/).filter((line) => line.length >= 16 && !line.startsWith("-----"));
  return /[\r\n]/.test(value.trim()) && telling.length > 0 ? telling : [value];
}

function sureIn(env: Environment): readonly string[] {
  return secretsIn(env).flatMap(({ value }) => (value.length >= 8 && !isWord(value) ? [value] : []));
}

/** It may stand in any sentence, list of names or number by accident. */
function isWord(value: string): boolean {
  return /^(\p{L}{1,19}|\d{1,15})$/u.test(value);
}

function maskOf(secrets: readonly string[]): Mask {
  if (secrets.length === 0) return (text) => text;
  const forms = [...new Set(secrets.flatMap(formsOf))].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(
    forms.map((form) => form.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&")).join("|"),
    "g",
  );
  return (text) =>
    secrets.reduce(
      withoutParts,
      text.replace(pattern, () => instead),
    );
}

/** As it is, and as it comes through JSON, an address, a page, a quoted word of a shell, or base64. */
function formsOf(secret: string): readonly string[] {
  const escaped = secret.replace(/[&<>"']/g, (sign) => entities[sign] ?? sign);
  const bytes = Buffer.from(secret);
  const encoded = [0, 1, 2].flatMap((offset) => [
    base64Inside(bytes, offset, "base64"),
    base64Inside(bytes, offset, "base64url"),
  ]);
  const quoted = secret.replaceAll("'", "'\\''");
  return [
    secret,
    inJson(secret),
    encodeURIComponent(secret.replace(/\p{Surrogate}/gu, "\ufffd")),
    escaped,
    quoted,
    ...encoded,
  ];
}

const entities: { readonly [sign: string]: string } = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
};

function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** What base64 makes of these bytes where `offset` others stand before them: the letters that are theirs alone. */
function base64Inside(bytes: Buffer, offset: number, encoding: "base64" | "base64url"): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes])
    .toString(encoding)
    .replace(/=+$/, "");
  const whole = (offset + bytes.length) % 3 === 0;
  return text.slice(offset === 0 ? 0 : offset + 1, whole ? undefined : -1);
}

/** Where a text begins or ends, so much of a secret is a part of it; anywhere else it must be more, to be no accident. */
const atTheEdge = 8;
const anywhere = 16;

/** A text that was cut to fit holds the beginning of a secret, or its end. */
function withoutParts(text: string, secret: string): string {
  if (secret.length <= atTheEdge) return text;
  const head = secret.slice(0, atTheEdge);
  const tail = secret.slice(-atTheEdge);
  if (!text.includes(head) && !text.includes(tail)) return text;
  const pieces = text.split("…").map((piece) => {
    const from = piece.lastIndexOf(head);
    const kept = from >= 0 && secret.startsWith(piece.slice(from)) ? piece.slice(0, from) + instead : piece;
    const to = kept.indexOf(tail) + atTheEdge;
    return to >= atTheEdge && secret.endsWith(kept.slice(0, to)) ? instead + kept.slice(to) : kept;
  });
  return pieces.map((piece) => withoutBeginning(piece, secret)).join("…");
}

function withoutBeginning(text: string, secret: string): string {
  if (secret.length <= anywhere) return text;
  const head = secret.slice(0, anywhere);
  let masked = text;
  for (let at = masked.indexOf(head); at >= 0; at = masked.indexOf(head, at + instead.length)) {
    let length = anywhere;
    while (length < secret.length && masked[at + length] === secret[length]) length += 1;
    masked = masked.slice(0, at) + instead + masked.slice(at + length);
  }
  return masked;
}
