import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** Where state lives: journals, plans, the lab's world. */
export function runbookHome(): string {
  const { RUNBOOK_HOME: own, XDG_STATE_HOME: state } = process.env;
  if (own !== undefined && own !== "") return resolve(own);
  return join(state !== undefined && state !== "" ? state : join(homedir(), ".local", "state"), "runbook");
}

/** Where the JavaScript of runbooks is kept, so that it need not be made each time. */
export function codeCache(): string {
  return join(runbookHome(), "cache");
}
