/**
 * Which methods of the ports a runbook can come to call, read from its text: everything that is reachable from its list of
 * steps, through the steps and the words that they use. It finds too much rather than too little: a method counts as soon
 * as its name is taken of anything. What an `outcomeOf(step)` or an `ends: step` names is looked up, and not played.
 */
import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import ts from "typescript";

type Place = readonly [file: string, name: string];

interface Module {
  readonly declared: ReadonlyMap<string, ts.Node>;
  readonly imported: ReadonlyMap<string, Place>;
}

const portFiles = { cloud: "cloud", cluster: "cluster-manager", nodes: "nodes" } as const;
const words = "src/runbook/words.ts";
// What layOut puts around every list (src/runbook/list.ts), and the steps of hooks, which an inventory orders.
const house = {
  ordinary: ["holdNodes", "releaseNodes"].map((name): Place => ["src/runbook/house.ts", name]),
  takesOver: ["holdWhatAnswers", "releaseWhatAnswers"].map((name): Place => [
    "src/runbook/take-over.ts",
    name,
  ]),
};
export const hookPlaces: readonly Place[] = [["src/runbook/hooks.ts", "withHooks"]];

/**
 * A right on volumes is a right on some of them, and which a step means is not said by the method's name: so that is said here
 * for each file, and for one runbook where it differs. A file that is not named here fails the test; whether it is true is
 * proven in the lab (test/cli/least-rights.slow.test.ts).
 */
const meant: { readonly [file: string]: { readonly [method: string]: string } } = {
  "runbooks/confirm.ts": { setTags: "old volumes" },
  "runbooks/steps/bare.ts": {
    setTags: "node volumes",
    removeTags: "node volumes",
    attachVolume: "node volumes",
    detachVolume: "node volumes",
  },
  "runbooks/steps/both.ts": { setTags: "points" },
  "runbooks/steps/cut.ts": { setTags: "points" },
  "runbooks/steps/drill-look.ts": { setTags: "points" },
  "runbooks/steps/drill-volumes.ts": {
    attachVolume: "new volumes",
    detachVolume: "new volumes",
    deleteVolume: "new volumes",
  },
  "runbooks/steps/drops.ts": { setTags: "points", removeTags: "points" },
  // Without a copy both sides count as equal, whatever they hold: a right that a restore of one side must not have.
  "runbooks/steps/mirrors-anew.ts": { finishRestore: "both sides" },
  "runbooks/steps/mirrors-anew.ts in restore-one": { finishRestore: "one side" },
  "runbooks/steps/one-side.ts": { finishRestore: "one side" },
  "runbooks/steps/old-volumes.ts": { createSnapshot: "old volumes", deleteVolume: "old volumes" },
  "runbooks/steps/read-on-helper.ts": { attachVolume: "new volumes", detachVolume: "new volumes" },
  "runbooks/steps/staging.ts": { setTags: "points" },
  "runbooks/steps/taken-back.ts": { removeTags: "old volumes" },
  "runbooks/steps/volumes-back.ts": { attachVolume: "displaced volumes", removeTags: "displaced volumes" },
  "runbooks/steps/volumes.ts": {
    setTags: "node volumes",
    removeTags: "node volumes",
    attachVolume: "node volumes",
    detachVolume: "node volumes",
    deleteVolume: "new volumes",
  },
  // There the restored ones are tagged as the old ones are, before they change places.
  "runbooks/steps/volumes.ts in rollback": {
    setTags: "new volumes",
    removeTags: "old volumes",
    attachVolume: "old volumes",
    detachVolume: "old volumes",
  },
};
const meaningful = new Set(Object.values(meant).flatMap((methods) => Object.keys(methods)));

/** As "cloud.startInstance", in the order of the alphabet. */
export function usesOf(name: string): readonly string[] {
  const file = `runbooks/${name}.ts`;
  const says = (word: string) => parse(file).text.includes(`  ${word}: true,`);
  const around = says("cloudOnly") ? [] : says("takesOver") ? house.takesOver : house.ordinary;
  return usesFrom([[file, "default"], ...around], name);
}

export function builtInRunbooks(): readonly string[] {
  return readdirSync("runbooks")
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -".ts".length))
    .sort();
}

export function usesFrom(roots: readonly Place[], runbook = ""): readonly string[] {
  const seen = new Set<string>();
  const uses = new Set<string>();
  const waiting = [...roots];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const [file, name] = next;
    const key = `${file} ${name}`;
    if (seen.has(key) || !/^(runbooks|src\/runbook)\//.test(file)) continue;
    seen.add(key);
    const module = moduleOf(file);
    const node = module.declared.get(name);
    if (node) look(node, module, file, { uses, runbook, refer: (place) => waiting.push(place) });
    else {
      const place = module.imported.get(name);
      if (!place) throw new Error(`${file} has no ${name}`);
      waiting.push(place);
    }
  }
  return [...uses].sort();
}

interface Found {
  readonly uses: Set<string>;
  readonly runbook: string;
  readonly refer: (place: Place) => void;
}

function look(node: ts.Node, module: Module, file: string, found: Found): void {
  const visit = (at: ts.Node): void => {
    if (ts.isTypeNode(at)) return;
    if (ts.isIdentifier(at)) {
      const place = module.imported.get(at.text);
      if (module.declared.has(at.text)) found.refer([file, at.text]);
      else if (place) found.refer(place);
      return;
    }
    if (ts.isPropertyAccessExpression(at)) {
      count(at.name.text, file, found);
      return visit(at.expression);
    }
    if (ts.isElementAccessExpression(at) && /\bworld\.(cloud|cluster|nodes)$/.test(at.expression.getText()))
      throw new Error(`${file}: ${at.getText()} calls a port by a name that cannot be read from the text`);
    if (ts.isBindingElement(at)) {
      const taken = at.propertyName ?? at.name;
      if (ts.isIdentifier(taken)) count(taken.text, file, found);
      if (at.initializer) visit(at.initializer);
      return ts.isIdentifier(at.name) ? undefined : visit(at.name);
    }
    if (ts.isPropertyAssignment(at)) {
      const key = at.name.getText();
      return (key === "ends" || key === "refreshes") && ts.isIdentifier(at.initializer)
        ? undefined
        : visit(at.initializer);
    }
    if (ts.isCallExpression(at) && /(^|\.)(outcomeOf|findOutcome|traceOf)$/.test(at.expression.getText()))
      return visit(at.expression);
    ts.forEachChild(at, visit);
  };
  visit(node);
}

function count(name: string, file: string, { uses, runbook }: Found): void {
  const port = portOf.get(name);
  if (port === undefined) return;
  if (!meaningful.has(name)) return void uses.add(`${port}.${name}`);
  const what = meant[`${file} in ${runbook}`]?.[name] ?? meant[file]?.[name];
  if (what === undefined) throw new Error(`${file} uses ${name}: say in test/support/port-uses.ts of what`);
  uses.add(`${port}.${name} of ${what}`);
}

const modules = new Map<string, Module>();
function moduleOf(file: string): Module {
  const known = modules.get(file);
  if (known) return known;
  const declared = new Map<string, ts.Node>();
  const imported = new Map<string, Place>();
  const take = (names: ts.NodeArray<ts.ImportSpecifier | ts.ExportSpecifier>, from: string) => {
    for (const each of names)
      if (!each.isTypeOnly) imported.set(each.name.text, [from, (each.propertyName ?? each.name).text]);
  };
  for (const statement of parse(file).statements) {
    if (ts.isImportDeclaration(statement) && statement.importClause?.isTypeOnly !== true) {
      const names = statement.importClause?.namedBindings;
      if (names && ts.isNamedImports(names)) take(names.elements, resolve(file, statement.moduleSpecifier));
    } else if (ts.isExportDeclaration(statement) && statement.moduleSpecifier && !statement.isTypeOnly) {
      if (statement.exportClause && ts.isNamedExports(statement.exportClause))
        take(statement.exportClause.elements, resolve(file, statement.moduleSpecifier));
    } else if (ts.isVariableStatement(statement)) {
      for (const each of statement.declarationList.declarations)
        for (const name of namesIn(each.name)) declared.set(name, each);
    } else if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) {
      if (statement.name) declared.set(statement.name.text, statement);
    } else if (ts.isExportAssignment(statement)) declared.set("default", statement);
  }
  const module = { declared, imported };
  modules.set(file, module);
  return module;
}

function namesIn(name: ts.BindingName): readonly string[] {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((each) => (ts.isBindingElement(each) ? namesIn(each.name) : []));
}

function resolve(file: string, specifier: ts.Expression): string {
  const text = specifier.getText().slice(1, -1);
  if (text === "runbook") return words;
  return text.startsWith(".") ? posix.normalize(posix.join(posix.dirname(file), text)) : text;
}

const portOf: ReadonlyMap<string, string> = new Map(
  Object.entries(portFiles).flatMap(([port, file]) =>
    parse(`src/ports/${file}.ts`).statements.flatMap((statement) =>
      ts.isInterfaceDeclaration(statement) && /(Reads|Writes)$/.test(statement.name.text)
        ? statement.members.map((member): [string, string] => [member.name?.getText() ?? "", port])
        : [],
    ),
  ),
);

function parse(file: string): ts.SourceFile {
  return ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest, true);
}
