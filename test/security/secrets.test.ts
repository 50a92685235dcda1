/** Which values of the environment are secrets, in which forms they are found, and where even that must not go too far. */
import { afterEach, expect, test, vi } from "vitest";

import {
  assertHoldsNoSecret,
  concealFor,
  guardOutput,
  guardStreams,
  maskSecrets,
} from "../../src/cli/secrets.ts";
import { hooksFor } from "../../src/engine/calls.ts";
import { plan, start } from "../cli/short-run.ts";

afterEach(() => vi.restoreAllMocks());

const secret = "s3cr3t/Value+with \"quotes\" & 'more'";
const env = { ORDERS_TOKEN: secret };
const mask = maskSecrets(env);

test("a secret is found plain, in JSON, in base64 at any place, in an address, and in a quoted word", () => {
  for (const before of ["", "a", "ab", "abc"]) {
    const encoded = Buffer.from(`${before}${secret} and more`).toString("base64");
    for (const form of [encoded, encoded.replaceAll("+", "-").replaceAll("/", "_")]) {
      const left = mask(form);
      expect(left).toContain("(secret)");
      expect(Buffer.from(left.replace("(secret)", ""), "base64").toString("latin1")).not.toContain("s3cr");
    }
  }
  expect(mask(`<${secret}>`)).toBe("<(secret)>");
  expect(mask(JSON.stringify({ a: secret }))).toBe('{"a":"(secret)"}');
  expect(mask(encodeURIComponent(secret))).toBe("(secret)");
  expect(mask(`echo '${secret.replaceAll("'", "'\\''")}'`)).toBe("echo '(secret)'");
});

test("a part of one is found where a text was cut, and a long part anywhere", () => {
  expect(mask(`it said ${secret.slice(0, 12)}`)).toBe("it said (secret)");
  expect(mask(`it said ${secret.slice(0, 12)}… (more)`)).toBe("it said (secret)… (more)");
  expect(mask(`${secret.slice(-12)} was said`)).toBe("(secret) was said");
  expect(mask(`("${secret.slice(0, 20)}") and more`)).toBe('("(secret)") and more');
  expect(mask(`it said ${secret.slice(0, 5)}`)).toBe(`it said ${secret.slice(0, 5)}`);
});

test("by its name a variable holds a secret, tells where one is, or has nothing to do with any", () => {
  const value = "v4lue-that-is-long";
  const masked = (name: string, held = value) =>
    maskSecrets({ [name]: held })(`x ${value} y`) === "x (secret) y";
  for (const name of [
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "RUNBOOK_SSH_PASSPHRASE",
    "DB_PASSWORD",
    "MYSQL_PWD",
    "VAULT_SECRET_ID",
    "STRIPE_API_KEY",
    "github_token",
    "SSH_PRIVATE_KEY",
  ])
    expect(masked(name), name).toBe(true);
  for (const name of [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "DB_SECRET_ARN",
    "PWD",
    "OLDPWD",
    "SSH_AUTH_SOCK",
  ])
    expect(masked(name), name).toBe(false);
  expect(masked("HTTPS_PROXY", `http://me:${value}@proxy:3128`), "a password in an address").toBe(true);
  expect(masked("DB_PASSWORD", "short"), "too short to tell from anything else").toBe(false);
});

test("of a key in PEM each line is a secret, and its first line is not", () => {
  const line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC";
  const pem = `-----BEGIN PRIVATE KEY-----\n${line}\n-----END PRIVATE KEY-----`;
  const hide = maskSecrets({ DEPLOY_PRIVATE_KEY: pem });
  expect(hide(`a ${line} b -----BEGIN PRIVATE KEY-----`)).toBe("a (secret) b -----BEGIN PRIVATE KEY-----");
});

test("a mere word or number is masked in what others said, and never in what is printed or resumed from", () => {
  const words = { A_TOKEN: "standby", B_TOKEN: "123456", C_TOKEN: "failover" };
  expect(maskSecrets(words)("the standby said 123456")).toBe("the (secret) said (secret)");
  expect(guardOutput(words)('{"at":123456,"role":"standby"}')).toBe('{"at":123456,"role":"standby"}');
  const body = { unit: "standby", found: { role: "standby" }, message: "standby is gone" };
  expect(concealFor(JSON.stringify(plan), words)(body)).toEqual({ ...body, message: "(secret) is gone" });
});

test("a row keeps every name that the plan says, and loses the secrets that it does not", () => {
  const conceal = concealFor(JSON.stringify(plan), { A_TOKEN: "failover1", B_TOKEN: secret });
  const row = {
    request: start,
    before: { [secret.length]: secret, note: ["failover1", secret] },
    n: 7,
    none: null,
  };
  expect(conceal(row)).toEqual({
    ...row,
    before: { [secret.length]: "(secret)", note: ["failover1", "(secret)"] },
  });
});

test("a secret that looks like a number or like JSON leaves a row of the journal that can be read", async () => {
  const rows: unknown[] = [];
  const hooks = hooksFor(
    {
      plan,
      logbook: { write: (_: string, body: unknown) => rows.push(body) },
      mask: maskSecrets({ A_PASSWORD: "1234567", B_PASSWORD: '","at":' }),
      seen: new Map(),
    } as never,
    "roles",
    "forward",
    undefined,
  );
  await hooks.onRead("nodes.getBoot", { uptime: 12345678, a: "1234567", b: '","at":' });
  expect(rows).toMatchObject([{ answer: { uptime: 12345678, a: "(secret)", b: "(secret)" } }]);
});

test("a plan that holds a secret is refused with the name of its variable; names that it shows anyway are none", () => {
  const [first, ...rest] = plan.units;
  const leaking = { ...plan, units: [{ ...first, title: `drain with ${secret}` }, ...rest] } as typeof plan;
  expect(() => assertHoldsNoSecret(leaking, env)).toThrow(
    "the plan would hold the secret that $ORDERS_TOKEN holds",
  );
  expect(() => assertHoldsNoSecret(plan, env)).not.toThrow();
  expect(() => assertHoldsNoSecret(plan, { A_TOKEN: "server1", B_TOKEN: plan.runbook })).not.toThrow();
});

test("what is written to a guarded stream is masked, and bytes pass as they are", () => {
  const written: unknown[] = [];
  const stream = { write: (chunk: unknown) => written.push(chunk) > 0 } as unknown as NodeJS.WriteStream;
  guardStreams([stream], env);
  stream.write(`it is ${secret}\n`);
  stream.write(Buffer.from([0x9b]));
  expect(written).toEqual(["it is (secret)\n", Buffer.from([0x9b])]);
});
