/**
 * The one place where the engine's own sentences are read, because it gives nothing better: neither a code nor the
 * registry's status and headers.
 *
 * Each pattern names where it was seen: 20 is the classic engine (20.10 to 28 with its own image store), c8d the engine
 * with containerd's image store. A sentence that nobody knows means the least: an error worth another attempt.
 */
import type { FailureCode, FailureDetail } from '../../contract/failures.ts';

export interface Trouble {
  readonly code: FailureCode;
  readonly detail: FailureDetail;
}

/** What a refused create, start or similar call is about; undefined if the sentence says nothing we know. */
export function readTrouble(message: string): Trouble | undefined {
  if (takenPort.test(message)) {
    const port = Number(portInSentence.exec(message)?.[1]);
    return { code: 'port.conflict', detail: port > 0 ? { port } : {} };
  }
  if (noSpace.test(message)) {
    return { code: 'disk.full', detail: { reason: message } };
  }
  if (unknownRuntime.test(message)) {
    return { code: 'sandbox.unavailable', detail: { reason: message } };
  }
  return undefined;
}

/** True if the engine is busy with taking this very container away. */
export function isRemovalInProgress(message: string): boolean {
  return /removal of container \S+ is already in progress/i.test(message);
}

/** True if the engine has a container only to take it away: `can not get logs from container which is dead or marked for removal`. */
export function isMarkedForRemoval(message: string): boolean {
  return /dead or marked for removal|is marked for removal and cannot be/i.test(message);
}

/** True if a container that is just ending still hangs on the network. */
export function hasActiveEndpoints(message: string): boolean {
  return /has active endpoints/i.test(message);
}

/**
 * - 20, another container of the same engine: `Bind for 127.0.0.1:80 failed: port is already allocated`
 * - 20, another process: `Error starting userland proxy: listen tcp4 127.0.0.1:80: bind: address already in use`
 * - 28: `failed to bind host port for 0.0.0.0:80:172.18.0.2:80/tcp: address already in use`
 */
const takenPort = /port is already allocated|address already in use/i;
const portInSentence =
  /(?:Bind for|listen (?:tcp|udp)[46]?|bind host port(?: for)?) (?:\[[^\]\s]*\]|[^\s:[\]]*):(\d{1,5})/i;
export const noSpace = /no space left on device|disk quota exceeded/i;
/** 20: `Unknown runtime specified runsc`; newer: `unknown or invalid runtime name: runsc`. */
const unknownRuntime = /unknown runtime specified|unknown or invalid runtime name/i;

export interface PullTrouble {
  readonly code: FailureCode;
  /** False where another attempt cannot end differently. */
  readonly retry: boolean;
  /** What the registry asked for, where the sentence repeats it. */
  readonly retryAfterMs?: number;
}

/** Why a pull failed. */
export function readPullTrouble(message: string): PullTrouble {
  for (const { code, retry, words } of pullSentences) {
    if (words.test(message)) {
      const [, header, sentence] = retryAfter.exec(message) ?? [];
      const seconds = Number(header ?? sentence);
      return { code, retry, ...(seconds > 0 ? { retryAfterMs: seconds * 1000 } : {}) };
    }
  }
  return { code: 'image.pull_failed', retry: true };
}

const retryAfter = /retry[- ]after:?\s*(\d{1,5})(?!\d)|(?:try|retry)(?: again)? in (\d{1,5}) ?s/i;

/** In this order: the first that fits counts. */
const pullSentences: readonly { readonly code: FailureCode; readonly retry: boolean; readonly words: RegExp }[] = [
  {
    // 20: manifest and layer; c8d: `unexpected commit digest sha256:…, expected sha256:…`
    code: 'image.digest_mismatch',
    retry: false,
    words: /verification failed for digest|unexpected commit digest/i,
  },
  { code: 'disk.full', retry: false, words: noSpace },
  {
    // 20: `toomanyrequests: …`, or `error parsing HTTP 429 response body: …`; c8d: `429 Too Many Requests`
    code: 'image.rate_limited',
    retry: true,
    words: /toomanyrequests|too many requests|\bHTTP 429\b/i,
  },
  {
    // 20: `no basic auth credentials`, `unauthorized: …`, `denied: …`, `error parsing HTTP 403 response body: …`
    // c8d: `401 Unauthorized`, `403 Forbidden`, `authorization failed`, `insufficient_scope`
    code: 'image.unauthorized',
    retry: false,
    words:
      /unauthorized|authentication required|authorization failed|no basic auth credentials|insufficient_scope|access denied|^denied\b|: denied\b|\bforbidden\b|\bHTTP 40[13]\b/i,
  },
  {
    // 20: `manifest unknown`, `name unknown`, `unknown blob`; c8d: `not found`
    code: 'image.not_found',
    retry: false,
    words: /manifest unknown|name unknown|unknown blob|blob unknown|\bHTTP 404\b|404 not found|: not found$/i,
  },
  {
    // Answers that no repetition makes better: another processor, something that is not an image.
    code: 'image.pull_failed',
    retry: false,
    words:
      /no matching manifest|mediaType in manifest should be|unsupported (?:media|manifest)|invalid reference format/i,
  },
];
