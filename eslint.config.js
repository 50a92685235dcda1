import js from "@eslint/js";
import ts from "typescript-eslint";

/** Who may import whom (style.md, section 2). `import type` is free; each rule says why. */
function fence(files, forbidden) {
  return {
    files,
    rules: {
      "@typescript-eslint/no-restricted-imports": [
        "error",
        { patterns: forbidden.map(([group, message]) => ({ group, message, allowTypeImports: true })) },
      ],
    },
  };
}
const sdks = [
  [["@aws-sdk/*"], "a vendor's SDK is known to its own driver alone, so that another cloud is one folder"],
  [["oci-*"], "a vendor's SDK is known to its own driver alone, so that another cloud is one folder"],
];
const ssh2 = [["ssh2"], "ssh2 is known to drivers/ssh (client) and lab (server) alone"];
const xstate = [["xstate", "xstate/*"], "only engine/machine.ts knows XState, so that a later move is local"];
const ours = (folders, why) => [folders.map((folder) => `**/${folder}/**`), why];

export default ts.config(
  { ignores: ["dist/", "node_modules/", "fixtures/", "coverage/"] },
  js.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [ts.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "no-empty": ["error", { allowEmptyCatch: false }],
      eqeqeq: "error",
    },
  },
  {
    files: ["**/*.js", "**/*.mjs"],
    languageOptions: {
      globals: {
        process: "readonly",
        console: "readonly",
        URL: "readonly",
        Buffer: "readonly",
        setTimeout: "readonly",
        setInterval: "readonly",
        clearTimeout: "readonly",
        clearInterval: "readonly",
        fetch: "readonly",
        AbortSignal: "readonly",
        globalThis: "readonly",
      },
    },
  },
  // Time is a port, so that the lab runs a twelve-hour wait in a millisecond.
  {
    files: ["src/**/*.ts", "runbooks/**/*.ts"],
    ignores: ["src/drivers/clock/**", "src/cli/live.ts", "src/store/inbox.ts", "src/lab/**"],
    rules: {
      "no-restricted-globals": [
        "error",
        ...["setTimeout", "setInterval"].map((name) => ({
          name,
          message: "time is a port (Clock): only drivers/clock sleeps",
        })),
      ],
      "no-restricted-properties": [
        "error",
        { object: "Date", property: "now", message: "time is a port (Clock): only drivers/clock tells it" },
      ],
    },
  },
  fence(
    ["src/errors.ts"],
    [
      ours(
        ["ports", "runbook", "engine", "drivers", "layers", "store", "config", "lab", "cli"],
        "errors.ts is at the bottom: it imports nothing",
      ),
      ...sdks,
      ssh2,
      xstate,
    ],
  ),
  fence(
    ["src/ports/**"],
    [
      ours(
        ["runbook", "engine", "drivers", "layers", "store", "config", "lab", "cli"],
        "a port is an interface: it knows errors alone",
      ),
      ...sdks,
      ssh2,
      xstate,
    ],
  ),
  fence(
    ["src/runbook/**"],
    [
      ours(
        ["engine", "drivers", "layers", "store", "config", "lab", "cli"],
        "the words know ports and errors alone, so that a runbook's text can be kept with its run",
      ),
      ...sdks,
      ssh2,
      xstate,
    ],
  ),
  fence(
    ["runbooks/**"],
    [
      [
        ["../*", "node:*"],
        "a runbook imports only `runbook` and files below its own folder, so that the texts kept with a run can be run again",
      ],
      ...sdks,
      ssh2,
      xstate,
    ],
  ),
  fence(
    ["src/engine/**"],
    [
      ours(
        ["drivers", "layers", "store", "config", "lab", "cli"],
        "the engine is given its ports; it never reaches for a driver",
      ),
      ...sdks,
      ssh2,
    ],
  ),
  fence(
    ["src/layers/**", "src/store/**", "src/config/**"],
    [
      ours(
        ["runbook", "engine", "drivers", "lab", "cli"],
        "layers, store and config know ports and errors alone",
      ),
      ...sdks,
      ssh2,
      xstate,
    ],
  ),
  fence(
    ["src/lab/**"],
    [
      ours(
        ["runbook", "engine", "drivers", "layers", "store", "config", "cli"],
        "the lab is a peer: what it shared with a driver, it could not test",
      ),
      ...sdks,
      xstate,
    ],
  ),
  fence(
    ["src/drivers/ssh/**"],
    [
      ours(
        [
          "runbook",
          "engine",
          "layers",
          "store",
          "config",
          "lab",
          "cli",
          "clusterpro",
          "linux",
          "aws",
          "clock",
        ],
        "a driver knows ports, errors and its own folder; it is given what else it needs",
      ),
      ...sdks,
      xstate,
    ],
  ),
  fence(
    ["src/drivers/clusterpro/**", "src/drivers/linux/**"],
    [
      ours(
        ["runbook", "engine", "layers", "store", "config", "lab", "cli", "ssh", "aws", "clock"],
        "a driver knows ports, errors and its own folder; it is given a Shell",
      ),
      ...sdks,
      ssh2,
      xstate,
    ],
  ),
  fence(
    ["src/drivers/aws/**"],
    [
      ours(
        [
          "runbook",
          "engine",
          "layers",
          "store",
          "config",
          "lab",
          "cli",
          "ssh",
          "clusterpro",
          "linux",
          "clock",
        ],
        "a driver knows ports, errors and its own folder",
      ),
      ssh2,
      xstate,
    ],
  ),
  {
    files: ["src/engine/**/*.ts"],
    ignores: ["src/engine/machine.ts"],
    rules: { "no-restricted-imports": ["error", { paths: [{ name: "xstate", message: xstate[1] }] }] },
  },
  {
    files: ["test/**/*.ts"],
    rules: {
      // Tests look into replies and pick methods off objects; what they assert is checked by running.
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/unbound-method": "off",
      "@typescript-eslint/no-base-to-string": "off",
    },
  },
);
