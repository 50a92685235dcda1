/**
 * Inside the nodes text is kept as byte strings: one character a byte. So a file that is no UTF-8 (a clp.conf in
 * EUC-JP) goes through `cat` unharmed, and the shell needs no second kind of string.
 */
export const toByteString = (data: string | Uint8Array): string =>
  Buffer.from(typeof data === "string" ? Buffer.from(data, "utf8") : data).toString("latin1");

export const fromByteString = (text: string): string => Buffer.from(text, "latin1").toString("utf8");

export const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));
