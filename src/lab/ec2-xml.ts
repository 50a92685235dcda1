/** EC2's query protocol on the way out: XML with the wire's own names, lists as `<item>`. */

export type Xml = string | number | boolean | undefined | readonly Xml[] | { readonly [name: string]: Xml };

/** The reply to an operation. */
export function replyXml(
  operation: string,
  requestId: string,
  content: { readonly [name: string]: Xml },
): string {
  const name = `${operation}Response`;
  return (
    `<?xml version="1.0" encoding="UTF-8"?>\n<${name} xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">` +
    `${element("requestId", requestId)}${members(content)}</${name}>`
  );
}

export function errorXml(code: string, message: string, requestId: string): string {
  const error = element("Error", { Code: code, Message: message });
  return (
    `<?xml version="1.0" encoding="UTF-8"?>\n` +
    `<Response><Errors>${error}</Errors>${element("RequestID", requestId)}</Response>`
  );
}

/** A time as the wire has it. */
export function timeXml(at: number): string {
  return new Date(at).toISOString();
}

function element(name: string, value: Xml): string {
  if (value === undefined) return "";
  if (isList(value)) return `<${name}>${value.map((item) => element("item", item)).join("")}</${name}>`;
  if (typeof value === "object") return `<${name}>${members(value)}</${name}>`;
  return `<${name}>${escape(String(value))}</${name}>`;
}

function members(content: { readonly [name: string]: Xml }): string {
  return Object.entries(content)
    .map(([name, value]) => element(name, value))
    .join("");
}

function isList(value: Xml): value is readonly Xml[] {
  return Array.isArray(value);
}

function escape(text: string): string {
  return text.replace(/[&<>"'\r]/g, (found) => `&#${found.charCodeAt(0)};`);
}
