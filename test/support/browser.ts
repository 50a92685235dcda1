/**
 * A headless Chromium, spoken to over its own pipe. Everything that it asks of any network goes to a proxy of ours, which
 * writes it down and answers nothing: no page, and nothing of the browser itself, reaches beyond this machine.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";

const chromiumPath = ["/usr/bin/chromium", "/usr/local/bin/chromium"].find((path) => existsSync(path));

/** Why there is no browser to look with; undefined where there is one. */
export const noChromium: string | undefined =
  chromiumPath === undefined
    ? "Chromium is not installed (node test/support/setup.mjs installs it on Debian as root)"
    : undefined;

export interface Seen {
  /** What the page asked for, itself left out. */
  readonly requests: readonly string[];
  /** What stands in its console. */
  readonly console: readonly string[];
}

export interface Browser {
  /** Opens a file in a window of this width, and says what came of it. */
  open(file: string, width: number, media?: "screen" | "print"): Promise<Seen>;
  /** The value of an expression in the page that is open. */
  evaluate(expression: string): Promise<unknown>;
  /** The page as it would be printed, as a PDF. */
  print(): Promise<Buffer>;
  /** What reached the proxy so far. */
  readonly proxied: readonly string[];
  close(): Promise<void>;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly [key: string]: unknown };
  readonly result?: { readonly [key: string]: unknown };
  readonly error?: { readonly message: string };
}

export async function openBrowser(): Promise<Browser> {
  const proxied: string[] = [];
  const proxy = createServer((request, response) => {
    proxied.push(request.url ?? "");
    response.writeHead(502).end();
  });
  proxy.on("connect", (request, socket) => {
    proxied.push(request.url ?? "");
    socket.end("HTTP/1.1 502 no\r\n\r\n");
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const folder = mkdtempSync(join(tmpdir(), "runbook-browser-"));
  const child = spawn(
    chromiumPath ?? "chromium",
    [
      "--headless=new",
      // It opens our own files alone, and root cannot have the sandbox.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--remote-debugging-pipe",
      `--user-data-dir=${folder}`,
      `--proxy-server=http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      "--proxy-bypass-list=<-loopback>",
      "about:blank",
    ],
    { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
  );
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const talk = talkOver(child.stdio[3] as Writable, child.stdio[4] as Readable, ended);

  const { targetId } = await talk.send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await talk.send("Target.attachToTarget", { targetId, flatten: true });
  const send = (method: string, params: object = {}) => talk.send(method, params, sessionId as string);
  for (const domain of ["Page", "Network", "Log", "Runtime"]) await send(`${domain}.enable`);

  return {
    proxied,
    open: async (file, width, media = "screen") => {
      const url = `file://${file}`;
      const from = talk.events.length;
      await send("Emulation.setDeviceMetricsOverride", {
        width,
        height: 900,
        deviceScaleFactor: 1,
        mobile: false,
      });
      await send("Emulation.setEmulatedMedia", { media });
      const loaded = talk.next("Page.loadEventFired");
      await send("Page.navigate", { url });
      await loaded;
      // Events come in order: whatever the page began while it loaded has come before this answer.
      await send("Runtime.evaluate", { expression: "1" });
      const events = talk.events.slice(from);
      return {
        requests: events
          .filter(({ method }) => method === "Network.requestWillBeSent")
          .map(({ params }) => (params?.["request"] as { readonly url: string }).url)
          .filter((asked) => asked !== url && !asked.startsWith("data:")),
        console: events
          .filter(({ method }) =>
            ["Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"].includes(method ?? ""),
          )
          .map(({ params }) => JSON.stringify(params)),
      };
    },
    evaluate: async (expression) => {
      const { result, exceptionDetails } = await send("Runtime.evaluate", {
        expression,
        returnByValue: true,
      });
      if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
      return (result as { readonly value?: unknown }).value;
    },
    print: async () => {
      const { data } = await send("Page.printToPDF", { preferCSSPageSize: true, printBackground: false });
      return Buffer.from(data as string, "base64");
    },
    close: async () => {
      await talk.send("Browser.close").catch(() => child.kill());
      await ended;
      await new Promise((resolve) => proxy.close(resolve));
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** The browser's protocol: JSON messages, each ended by a zero byte. */
function talkOver(to: Writable, from: Readable, ended: Promise<void>) {
  const waiting = new Map<
    number,
    { readonly resolve: (value: NonNullable<Message["result"]>) => void; readonly reject: (e: Error) => void }
  >();
  const events: Message[] = [];
  const listening = new Map<string, () => void>();
  let rest = "";
  let id = 0;
  from.setEncoding("utf8");
  from.on("data", (chunk: string) => {
    const parts = (rest + chunk).split("\0");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const message = JSON.parse(part) as Message;
      if (message.id === undefined) {
        events.push(message);
        listening.get(message.method ?? "")?.();
        continue;
      }
      const caller = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error) caller?.reject(new Error(message.error.message));
      else caller?.resolve(message.result ?? {});
    }
  });
  void ended.then(() => {
    for (const { reject } of waiting.values()) reject(new Error("the browser ended"));
  });
  return {
    events,
    next: (method: string) => new Promise<void>((resolve) => listening.set(method, resolve)),
    send: (method: string, params: object = {}, sessionId?: string) =>
      new Promise<NonNullable<Message["result"]>>((resolve, reject) => {
        id += 1;
        waiting.set(id, { resolve, reject });
        to.write(`${JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) })}\0`);
      }),
  };
}
