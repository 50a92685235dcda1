import { asFailure } from "../errors.ts";
import { harmless } from "./exit.ts";
import { codeCache } from "./home.ts";
import { loadRunbook } from "./load.ts";
import { listRunbooks, readSource } from "./source.ts";

export async function list(options: { json?: boolean }): Promise<number> {
  const rows = await Promise.all(
    [...listRunbooks(process.cwd())].map(async ([name, file]) => {
      try {
        const { title, params } = await loadRunbook(readSource(file), codeCache());
        const choices = Object.fromEntries(
          Object.entries(params).map(([param, spec]) => [
            param,
            "said" in spec
              ? [`"…" (${spec.said})`]
              : "named" in spec
                ? [spec.otherwise, `NAME of ${spec.named}`]
                : "count" in spec
                  ? [String(spec.count), "N"]
                  : spec.oneOf,
          ]),
        );
        return { name, title, file, params: choices };
      } catch (thrown) {
        return { name, title: `cannot be loaded: ${asFailure(thrown).message}`, file, params: {} };
      }
    }),
  );
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
    return 0;
  }
  const width = Math.max(...rows.map((row) => row.name.length));
  for (const row of rows) {
    const choices = Object.entries(row.params).map(([param, values]) => `${param}=${values.join("|")}`);
    process.stdout.write(
      `${row.name.padEnd(width)}  ${harmless(row.title)}${choices.length > 0 ? `  (${choices.join(", ")})` : ""}\n`,
    );
  }
  return 0;
}
