/**
 * One call of EC2's API: who asks, what for, and the answer. The order of the checks is that of the real thing as far
 * as it is known: the caller, the operation, the right to it, the parameters, and only then the dry run's answer.
 */
import { CloudError } from "./cloud-model.ts";
import type { Cloud } from "./cloud.ts";
import { fastRestores } from "./ec2-fast-restore.ts";
import { images } from "./ec2-images.ts";
import { locks } from "./ec2-locks.ts";
import type { Operation } from "./ec2-operation.ts";
import { flagParam, unflatten, type Params } from "./ec2-query.ts";
import { reads } from "./ec2-reads.ts";
import { refuseUnknown, writes } from "./ec2-writes.ts";
import { errorXml, replyXml } from "./ec2-xml.ts";
import { authorize } from "./iam.ts";

export interface Ec2Reply {
  readonly status: number;
  readonly headers: { readonly [name: string]: string };
  readonly body: string;
  /** How the lab classes the call: any write that is not a dry run is a write, whatever became of it. */
  readonly class: "read" | "write" | "gap";
}

export interface Ec2Auth {
  /** The Authorization header. */
  readonly authorization: string | undefined;
}

const operations: { readonly [name: string]: Operation } = {
  ...reads,
  ...writes,
  ...fastRestores,
  ...locks,
  ...images,
};

/** Answers at once; what it changed is booked with the heart. */
export function handleEc2(cloud: Cloud, form: URLSearchParams, auth: Ec2Auth): Ec2Reply {
  const name = form.get("Action") ?? "";
  const operation = Object.hasOwn(operations, name) ? operations[name] : undefined;
  const kind = classOf(operation, form);
  try {
    checkCaller(cloud, auth);
    if (operation === undefined)
      throw new CloudError(
        "InvalidAction",
        `The action ${name} is not valid for this web service.`,
        400,
        true,
      );
    const { DryRun: _dryRun, ...params } = unflatten(form);
    const dryRun = isDryRun(form);
    for (const needed of [name, ...(operation.needs?.(params) ?? [])]) checkRight(cloud, needed);
    authorize(cloud, name, params);
    refuseUnknown(params, operation.params);
    const act = operation.prepare({ cloud, params });
    if (dryRun)
      throw new CloudError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412);
    const requestId = cloud.newRequestId();
    return reply(200, replyXml(name, requestId, act()), requestId, kind);
  } catch (error) {
    if (!(error instanceof CloudError)) throw error;
    return refusal(cloud, error, kind);
  }
}

export function refusal(cloud: Cloud, error: CloudError, kind: "read" | "write" | "gap"): Ec2Reply {
  const requestId = cloud.newRequestId();
  const body = errorXml(error.code, error.message, requestId);
  return reply(error.status, body, requestId, error.gap ? "gap" : kind);
}

/** The class of a call as far as it can be told before it is handled. */
export function classOfForm(form: URLSearchParams): "read" | "write" | "gap" {
  const name = form.get("Action") ?? "";
  return classOf(Object.hasOwn(operations, name) ? operations[name] : undefined, form);
}

function classOf(operation: Operation | undefined, form: URLSearchParams): "read" | "write" | "gap" {
  if (operation === undefined) return "gap";
  return operation.kind === "write" && form.get("DryRun") !== "true" ? "write" : "read";
}

function isDryRun(form: URLSearchParams): boolean {
  const value = form.get("DryRun");
  const params: Params = value === null ? {} : { DryRun: value };
  return flagParam(params, "DryRun");
}

/** Signatures are not computed: the lab tests what is sent, not the SDK's arithmetic. */
function checkCaller(cloud: Cloud, auth: Ec2Auth): void {
  const key = /^AWS4-HMAC-SHA256 .*Credential=([^/,\s]+)\//.exec(auth.authorization ?? "")?.[1];
  if (key === undefined || !cloud.settings.accessKeys.includes(key))
    throw new CloudError("AuthFailure", "AWS was not able to validate the provided access credentials", 401);
}

function checkRight(cloud: Cloud, operation: string): void {
  if (cloud.denied.has(operation)) throw denial(operation);
}

export function denial(operation: string): CloudError {
  return new CloudError(
    "UnauthorizedOperation",
    `You are not authorized to perform this operation. The caller may not perform: ec2:${operation}`,
    403,
  );
}

function reply(status: number, body: string, requestId: string, kind: Ec2Reply["class"]): Ec2Reply {
  const headers = { "content-type": "text/xml;charset=UTF-8", "x-amzn-requestid": requestId };
  return { status, headers, body, class: kind };
}
