/**
 * EC2 error code -> our kind, one table (reference aws-ebs 6), and the same for what dies on the way.
 *
 * The question that matters most is what a failed *write* has done. A well-formed client error did nothing. A
 * throttle and a lack of capacity did nothing either, although HTTP calls them 5xx. Any other 5xx, a page that is
 * not EC2's, a reset and a time-out may hide a call that worked (reference aws-ebs 6, last row): "maybe", and
 * only a look tells.
 *
 * EC2's own text is quoted, because it names what was wrong, except where it is about signatures and rights:
 * there it can hold the canonical request with the session token, or a page of encoded policy.
 */
import { Failure } from "../../errors.ts";
import type { FailureKind, Happened } from "../../errors.ts";

interface Row {
  readonly kind: FailureKind;
  /** Only server errors can have acted; "no" unless said. */
  readonly happened?: Happened;
  readonly hint?: string;
  /** Our words instead of EC2's, where its text must not be repeated. */
  readonly says?: string;
}

const throttled: Row = {
  kind: "unavailable",
  hint: "the account's share of EC2 calls is used up, by any tool or person in it: wait, or stop the other caller",
};
const quota: Row = {
  kind: "precondition",
  hint: "the account's quota is full: delete what is not needed, wait for pending copies, or ask AWS for more",
};
const lookAgain: Row = { kind: "precondition", hint: "wait until the state is settled, then try again" };
const unknownId: Row = { kind: "not-found", hint: "check the id, the account and the region" };
const malformed: Row = { kind: "invalid", hint: "check the id in the inventory" };
const keys: Row = {
  kind: "denied",
  says: "the credentials were not accepted",
  hint: "check the access keys and the session's age, and that this machine's clock is right within minutes",
};
const mayHaveWorked: Row = {
  kind: "unavailable",
  happened: "maybe",
  hint: "the call may have worked: look before it is sent again",
};

const codes: Readonly<Record<string, Row>> = {
  // Throttles: the token bucket refused the call before it could act.
  RequestLimitExceeded: throttled,
  Throttling: throttled,
  ThrottlingException: throttled,
  EC2ThrottledException: throttled,
  RequestThrottled: throttled,
  BandwidthLimitExceeded: throttled,
  SnapshotCreationPerVolumeRateExceeded: {
    kind: "unavailable",
    hint: "EC2 wants 15 seconds between two snapshots of one volume",
  },
  // Setting tags twice does no more than once, so the loser of two parallel calls may simply repeat.
  ConcurrentTagAccess: { kind: "unavailable", hint: "another caller is changing tags of the same resource" },

  ConcurrentSnapshotLimitExceeded: {
    kind: "precondition",
    hint: "wait until earlier snapshots of this volume are completed; failed ones count too until they are deleted",
  },
  PendingSnapshotLimitExceeded: quota,
  SnapshotLimitExceeded: quota,
  VolumeLimitExceeded: {
    kind: "precondition",
    // So it was seen by the EBS driver of Kubernetes (reference aws-ebs 3.4).
    hint: "the account may have no more volumes, and a repeat of a call that had worked is refused too: look by its tags, then delete what is not needed",
  },
  MaxIOPSLimitExceeded: quota,
  ResourceLimitExceeded: quota,
  AttachmentLimitExceeded: { kind: "precondition", hint: "the instance has as many disks as it can take" },

  IncorrectState: lookAgain,
  IncorrectInstanceState: lookAgain,
  IncorrectModificationState: { kind: "conflict", hint: "wait until the volume's modification is over" },
  VolumeInUse: { kind: "conflict", hint: "look where the volume is attached" },
  "InvalidSnapshot.InUse": {
    kind: "conflict",
    hint: "an image or a fast snapshot restore still uses it: deregister the one, switch the other off in every zone and wait until it is off",
  },
  // Its texts name what depends on it; which operations give it is in no source of ours.
  DependencyViolation: { kind: "conflict", hint: "something else still depends on it: look what EC2 names" },
  IdempotentParameterMismatch: {
    kind: "conflict",
    hint: "the token was used with other arguments before: look by its tags for what it made, else take another token",
  },
  "InvalidAttachment.NotFound": {
    kind: "not-found",
    hint: "the volume is not attached to this instance: look where it is",
  },

  "InvalidVolume.ZoneMismatch": {
    kind: "invalid",
    hint: "the volume and the instance are in different zones",
  },
  "InvalidZone.NotFound": { kind: "invalid", hint: "check the zone and the region" },
  VolumeTypeNotAvailableInZone: { kind: "unsupported", hint: "choose another volume type for this zone" },

  // A 5xx code by class, but nothing was started: the pool was empty.
  InsufficientInstanceCapacity: {
    kind: "unavailable",
    hint: "the zone has no room for this instance type now: keep trying, or reserve capacity; the cluster lacks a node",
  },
  InsufficientVolumeCapacity: { kind: "unavailable", hint: "the zone has no room for this volume now" },

  "InvalidSnapshot.NotFound": unknownId,
  "InvalidVolume.NotFound": unknownId,
  "InvalidInstanceID.NotFound": unknownId,
  "InvalidInstanceID.Malformed": malformed,
  "InvalidSnapshotID.Malformed": malformed,
  "InvalidVolumeID.Malformed": malformed,

  UnauthorizedOperation: { kind: "denied" },
  AccessDenied: { kind: "denied" },
  AccessDeniedException: { kind: "denied" },
  AuthFailure: keys,
  RequestExpired: keys,
  SignatureDoesNotMatch: keys,
  InvalidClientTokenId: keys,
  MissingAuthenticationToken: keys,
  ExpiredToken: keys,
  ExpiredTokenException: keys,
  OptInRequired: { kind: "denied", hint: "the account is not set up for EC2 in this region" },
  OperationNotPermitted: {
    kind: "denied",
    hint: "a lock, a protection of the instance, or the account forbids it",
  },
  CustomerKeyHasBeenRevoked: {
    kind: "denied",
    hint: "the KMS key of a volume cannot be used: ask its owner",
  },
  TagPolicyViolation: { kind: "denied", hint: "the organization's tag policy refuses these tags" },
  TagLimitExceeded: { kind: "precondition", hint: "a resource carries 50 tags at most: remove some" },

  UnsupportedOperation: { kind: "unsupported" },
  Unsupported: { kind: "unsupported" },
  InvalidAction: { kind: "unsupported", hint: "check that the endpoint speaks EC2" },

  InternalError: mayHaveWorked,
  InternalFailure: mayHaveWorked,
  ServiceUnavailable: mayHaveWorked,
  Unavailable: mayHaveWorked,
};

/** What a person can do differs where one code is given for several things: by operation and code. */
const hintsOf: Readonly<Record<string, string>> = {
  "CreateVolume IncorrectState": "a volume can be made from a completed snapshot only: wait until it is",
  "AttachVolume IncorrectState":
    "the volume must be available, and the instance running or stopped: wait, look, and try again",
  "AttachVolume VolumeInUse":
    "look which instance and device hold it: if it is where it should be, nothing is left to do",
  "DetachVolume IncorrectState":
    "it is attached to nothing, or it is the root of an instance that is not stopped: look at the volume",
  "DeleteSnapshot OperationNotPermitted":
    "it may be locked: `runbook points` shows until when; a lock in governance mode can be taken back by who may",
  "DeleteVolume VolumeInUse": "detach it, and wait until it is available",
  "DeleteVolume IncorrectState": "wait until it is available",
};

/** "Invalid value '/dev/sdf' for unixDevice. Attachment point /dev/sdf is already in use": one code for many mistakes. */
const deviceTaken: Row = {
  kind: "conflict",
  hint: "the volume at this device is not detached yet, or a disk that EC2 does not list has the name: wait until it is gone, or take another device",
};

/** What an unlisted code is, by its form and its HTTP class. */
function rowOf(code: string, status: number, operation: string, message: string): Row {
  if (code === "InvalidParameterValue" && /already in use/.test(message)) return deviceTaken;
  const row = Object.hasOwn(codes, code) ? codes[code] : undefined;
  const name = `${operation} ${code}`;
  const hint = Object.hasOwn(hintsOf, name) ? hintsOf[name] : undefined;
  if (row) return hint === undefined ? row : { ...row, hint };
  // What EC2 calls the refusal of a locked snapshot is in no source; any code that says so is one.
  if (/Locked/.test(code)) return { kind: "denied", hint: "a lock keeps it: wait until that is over" };
  if (/signature|securitytoken|clienttoken|credential/i.test(code)) return keys;
  if (code.endsWith(".NotFound")) return unknownId;
  if (code.endsWith(".Malformed")) return malformed;
  if (status === 429) return throttled;
  return status >= 500 ? mayHaveWorked : { kind: "invalid" };
}

/** The call that failed, as people should read it. */
export interface Call {
  /** Operation and what it was about: "StartInstances of i-1". */
  readonly about: string;
  readonly operation: string;
  /** Failed reads have changed nothing, whatever happened to them. */
  readonly write: boolean;
  /** "ec2 eu-west-1 (https://…)". */
  readonly endpoint: string;
  /** Texts that may be in no message. */
  readonly secrets: readonly string[];
}

/** Anything that the SDK threw, as a Failure. */
export function translate(thrown: unknown, call: Call): Failure {
  if (thrown instanceof Failure) return thrown;
  const error = fieldsOf(thrown);
  const happened = (of: Happened | undefined): Happened => (call.write ? (of ?? "no") : "no");

  if (error.code !== undefined && error.status !== undefined) {
    const row = rowOf(error.code, error.status, call.operation, error.message);
    const text = quote(row, error.code, error.message, call);
    const hint = row.hint ?? (row.kind === "denied" ? "grant it to the role in use" : undefined);
    return new Failure(row.kind, `${call.about}: ${text} (${error.code})`, {
      happened: happened(row.happened),
      ...(hint === undefined ? {} : { hint }),
      answer: { code: error.status, text: `${error.code}: ${text}` },
      cause: thrown,
    });
  }
  if (error.status !== undefined) return unreadable(call, error.status, thrown);
  if (/^(CredentialsProviderError|TokenProviderError|ProviderError)$/.test(error.name)) {
    return new Failure("denied", `${call.about}: no usable AWS credentials were found`, {
      hint: "set AWS_PROFILE or the access keys in the environment, or give the inventory a profile",
      cause: thrown,
    });
  }
  const network = networkTrouble(error);
  if (network) {
    return new Failure("unavailable", `${call.about}: ${network.says} ${call.endpoint}`, {
      happened: happened(network.happened),
      hint: network.hint,
      cause: thrown,
    });
  }
  // Neither EC2 nor the network: a mistake of ours or of the SDK. A write may have left before it.
  return new Failure("bug", `${call.about}: ${error.name} inside the AWS SDK`, {
    happened: happened("maybe"),
    cause: thrown,
  });
}

/** A reply came, and it was not EC2's: a proxy's page, a cut text, an empty body. */
export function unreadable(call: Call, status: number | undefined, cause?: unknown): Failure {
  const what = status === undefined ? "a reply" : `a reply with HTTP status ${String(status)}`;
  return new Failure("unavailable", `${call.about}: ${what} from ${call.endpoint} was not EC2's`, {
    happened: call.write ? "maybe" : "no",
    hint: "look for a proxy or a wrong endpoint between this machine and EC2",
    ...(status === undefined ? {} : { answer: { code: status, text: "not a reply of EC2" } }),
    cause,
  });
}

/** What EC2 refused inside of a reply that is a success by its status. */
export interface Refused {
  /** "in eu-west-1a". */
  readonly where: string;
  readonly code: string | undefined;
  readonly message: string | undefined;
}

/**
 * A good status with refusals in it (reference aws-ebs 5). Which codes EC2 uses there is not documented, so one that is
 * not in the table is shown as it is. Others of the same call may have been done: "said".
 */
export function refusedIn(call: Call, status: number | undefined, refused: readonly Refused[]): Failure {
  const told = refused.map(({ where, code = "no code", message = "" }) => ({
    row: Object.hasOwn(codes, code) ? codes[code] : undefined,
    text: `${quote({ kind: "precondition" }, code, message, call)} (${code}) ${where}`,
  }));
  const row = told.find((each) => each.row !== undefined)?.row;
  const text = told.map((each) => each.text).join("; ");
  return new Failure(row?.kind ?? "precondition", `${call.about}: ${text}`, {
    happened: call.write ? "said" : "no",
    hint: row?.hint ?? "look what EC2 did of it: the zones that it does not name may be on",
    answer: { ...(status === undefined ? {} : { code: status }), text },
  });
}

/** EC2's code of a failure that `translate` made, for the dry runs, whose good answer is an error. */
export function codeOf(failure: Failure): string | undefined {
  return fieldsOf(failure.cause).code;
}

/** The action and the resource that EC2 names when it denies: not always those of the call (tagging on create). */
export function deniedAction(failure: Failure): { action: string; resource: string | undefined } | undefined {
  const text = fieldsOf(failure.cause).message;
  const named = /not authorized to perform: (\w+:\w+)(?: on resource: (\S+))?/.exec(text);
  const action = named?.[1];
  return action === undefined ? undefined : { action, resource: named?.[2] };
}

interface Fields {
  readonly name: string;
  readonly message: string;
  /** EC2's error code; absent where the reply was not a well-formed error of EC2. */
  readonly code: string | undefined;
  readonly status: number | undefined;
  /** The system's code and call, as ECONNREFUSED and connect. */
  readonly system: string | undefined;
  readonly syscall: string | undefined;
  /** Those of each address that was tried, where Node tried several. */
  readonly parts: readonly Fields[];
}

function fieldsOf(thrown: unknown): Fields {
  const of = (value: unknown): Readonly<Record<string, unknown>> =>
    typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
  const error = of(thrown);
  const code = text(error["Code"]);
  const status = of(error["$metadata"])["httpStatusCode"];
  return {
    name: text(error["name"]) ?? "something",
    message: text(error["message"]) ?? "",
    // A code goes into messages as it came, so only what has the form of one is taken for one.
    code: code !== undefined && /^[A-Za-z][\w.]{0,99}$/.test(code) ? code : undefined,
    status: typeof status === "number" ? status : undefined,
    system: text(error["code"]),
    syscall: text(error["syscall"]),
    parts: Array.isArray(error["errors"]) ? error["errors"].map(fieldsOf) : [],
  };
}

/** What EC2 said in one line, first letter small and without a full stop, or our words instead. */
function quote(row: Row, code: string, message: string, call: Call): string {
  if (row.says !== undefined) return row.says;
  if (row.kind === "denied" && /^(Unauthorized|AccessDenied)/.test(code)) {
    const named = /not authorized to perform: (\w+:\w+)/.exec(message)?.[1];
    return `${named ?? `ec2:${call.operation}`} is not allowed`;
  }
  const line = call.secrets
    .reduce((text, secret) => text.replaceAll(secret, "***"), message)
    .replaceAll(/\s+/g, " ")
    .trim()
    .replace(/\.$/, "");
  if (line === "") return "refused";
  const short = line.length > 300 ? `${line.slice(0, 300)}…` : line;
  return /^[A-Z][a-z]/.test(short) ? short.charAt(0).toLowerCase() + short.slice(1) : short;
}

interface Trouble {
  readonly happened: Happened;
  readonly says: string;
  readonly hint: string;
}

/**
 * Before the connection stands nothing can have been sent: refused, no route, no name, a bad certificate. After
 * it, nobody knows. The SDK names all time-outs alike; only its text tells the one of connecting, and where that
 * text should change, the answer becomes "maybe", which costs a look and never a second snapshot.
 */
function networkTrouble(error: Fields): Trouble | undefined {
  const each = error.parts.length > 0 ? error.parts : [error];
  const code = error.system ?? each[0]?.system;
  if (each.every((part) => part.syscall === "connect" || part.syscall?.startsWith("getaddr") === true)) {
    return {
      happened: "no",
      says: `no connection (${code ?? "unknown"}) to`,
      hint: "check the network and the endpoint",
    };
  }
  if (error.name === "TimeoutError" && /did not establish a connection/.test(error.message)) {
    return { happened: "no", says: "no connection in time to", hint: "check the network and the endpoint" };
  }
  if (code !== undefined && /CERT|^ERR_TLS|^ERR_SSL|SIGNATURE|ISSUER|^EPROTO$/.test(code)) {
    return {
      happened: "no",
      says: `no trusted connection (${code}) to`,
      hint: "check the certificate, or a proxy between",
    };
  }
  if (error.name === "TimeoutError" || (code !== undefined && /^(E[A-Z]+|ERR_[A-Z_]+|HPE_\w+)$/.test(code))) {
    return {
      happened: "maybe",
      says: `no answer (${code ?? "time-out"}) from`,
      hint: "look before it is sent again",
    };
  }
  return undefined;
}
