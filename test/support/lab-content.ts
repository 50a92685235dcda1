/** Files that two contents do not agree on, leaving out the clients' counter. */
export function compareContent(
  a: { readonly [path: string]: string },
  b: { readonly [path: string]: string },
): readonly string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter(
    (path) => path !== "clients/counter" && a[path] !== b[path],
  );
}
