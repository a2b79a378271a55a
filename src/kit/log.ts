/**
 * Structured logs: one JSON object per line, values first, fixed text after.
 *
 * Redaction is by allow-list: a value whose key nobody declared as harmless is not written at all, so a secret that
 * somebody puts into a log call by mistake goes nowhere. Text values lose what looks like a credential in a URL.
 */
import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino';

export type Log = Logger;

/** Keys that may be logged. Adding one here is a decision: its values must never hold a secret. */
const allowedKeys = new Set([
  ...['task_id', 'task_type', 'instance', 'phase', 'from', 'to', 'code', 'kind', 'path', 'paths', 'reason', 'status'],
  ...['container', 'container_id', 'image', 'digest', 'network', 'subnet', 'exec_id', 'state', 'health', 'exit_code'],
  ...['attempt', 'delay_ms', 'duration_ms', 'timeout_ms', 'deadline_seconds', 'grace_seconds', 'fencing', 'adopted'],
  ...['method', 'route', 'host', 'port', 'endpoint', 'url', 'socket', 'pid', 'uid', 'version', 'count', 'bytes'],
  ...['bytes_total', 'layers', 'layers_done', 'packages', 'channel', 'text', 'removed', 'kept', 'failed', 'folder'],
  ...['errors', 'engine', 'action', 'time_of_event', 'signal', 'expected', 'actual', 'cpu_cores', 'memory_gib'],
  ...['allocation', 'node', 'sandbox', 'err', 'oom_killed', 'trace_id', 'event', 'cause', 'free_bytes', 'needed_bytes'],
  ...['message', 'source', 'epoch', 'asked', 'failure', 'hint', 'detail', 'retryable', 'excerpt', 'check', 'attempts'],
  ...['answer', 'seen', 'mount', 'pool', 'call', 'holder', 'free', 'timeout_seconds', 'retry_after_seconds', 'rule'],
  ...['node_id', 'allocation_id', 'not_after', 'type', 'schema_version', 'service', 'services', 'nodes', 'sign_off'],
  ...['actor', 'wait_ms', 'rollout', 'output', 'step', 'input', 'cache', 'files', 'files_total', 'from_cache'],
  ...['checks', 'lacking', 'steps', 'revision', 'group', 'label', 'max_bytes', 'scheme', 'what', 'outcome', 'why'],
]);

export interface LogOptions {
  readonly level?: string;
  readonly destination?: DestinationStream;
  readonly base?: Record<string, unknown>;
}

export function createLog({ level = 'info', destination, base = {} }: LogOptions = {}): Log {
  return pino(
    {
      level,
      base,
      messageKey: 'msg',
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }), log: (values) => redact(values) },
      // Errors are described by `redact` already.
      serializers: { err: (described: unknown) => described },
      hooks: { logMethod: withHarmlessText },
    },
    destination ?? pino.destination({ dest: 2, sync: true }),
  );
}

/** The text behind the values should be fixed, but an error that is logged alone brings its own message as text. */
const withHarmlessText: NonNullable<NonNullable<LoggerOptions['hooks']>['logMethod']> = function (args, method) {
  const [first, ...rest] = args as unknown[];
  const values = first instanceof Error ? { err: first } : first;
  const alone = rest.length === 0 && typeof values === 'object' && values !== null && 'err' in values;
  const all = [values, ...(alone ? ['error'] : rest)];
  method.apply(this, all.map((arg) => (typeof arg === 'string' ? redactText(arg) : arg)) as typeof args);
};

/** Levels of nesting that are written; errors that cause each other must not keep the logger busy for ever. */
const maxDepth = 8;

/** What may be written of the values of one log call, at every level; also used for the values of events. */
export function redact(values: Record<string, unknown>, depth = 0): Record<string, unknown> {
  const clean: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(values)) {
    clean[key] = allowedKeys.has(key) ? harmless(value, depth + 1) : '[redacted]';
  }
  return clean;
}

function harmless(value: unknown, depth: number): unknown {
  if (typeof value === 'string') {
    return redactText(value);
  }
  if (value === null || typeof value !== 'object') {
    return value;
  }
  if (depth > maxDepth) {
    return '[too deep]';
  }
  if (value instanceof Error) {
    return describeError(value, depth);
  }
  if (Array.isArray(value)) {
    return value.map((each) => harmless(each, depth + 1));
  }
  return ArrayBuffer.isView(value) ? `[${value.byteLength} bytes]` : redact(value as Record<string, unknown>, depth);
}

function describeError({ name, message, stack, cause }: Error, depth: number): Record<string, unknown> {
  return {
    name,
    message: redactText(message),
    stack: stack === undefined ? undefined : redactText(stack),
    ...(cause === undefined ? {} : { cause: harmless(cause, depth + 1) }),
  };
}

// Text may come from a workload and be long: each expression is linear, whatever it is given. None begins with a class of
// letters, which would be tried at each of them.
const urlCredential = /(:\/\/)[^\s/'"]+@/g;
const header = /((?<![a-z0-9])(?:authorization|cookie)["'\\]{0,2}\s{0,4}[:=]["'\\\s]{0,6})[^\r\n"']+/gi;
const named =
  /((?<![a-z0-9])(?:bearer|basic|token|passw(?:or)?d|secret|(?:api|access|private)[-_]?key)[\s:="'\\]{1,8})[^\s"',&]{4,}/gi;

/** Takes credentials out of text that was not written by us: user info of URLs, tokens named as such. */
export function redactText(text: string): string {
  return [urlCredential, header, named].reduce(
    (rest, credential) => rest.replace(credential, credential === urlCredential ? '$1[redacted]@' : '$1[redacted]'),
    text,
  );
}
