/** What goes wrong with a source: `input.failed` passes, `input.refused` does not. Never holds a query of a URL, which may be a key. */
import { AgentError } from '../../contract/failures.ts';
import { type Backoff, backoffDelay } from '../../kit/backoff.ts';
import { isCertificateTrouble } from '../../kit/certificate-trouble.ts';
import type { Clock } from '../../kit/clock.ts';
import { isDiskFull } from '../../kit/disk-full.ts';

const backoff: Backoff = { firstMs: 500, maxMs: 30_000, factor: 2 };
const passing: readonly string[] = ['input.failed', 'control_plane.unavailable'];
/** Attempts in a row that bring nothing before a source counts as away. */
const usualIdle = 8;
/** No source makes a job wait longer than that by one answer. */
const mostPauseSeconds = 120;

/** Origin and path: what may be told of a URL. */
export function plainUrl({ origin, pathname }: URL): string {
  return `${origin}${pathname}`.slice(0, 1024);
}

export function refused(reason: string, detail: Record<string, unknown> = {}, cause?: unknown): AgentError {
  return new AgentError('input.refused', { reason, ...detail }, { cause });
}

/** An answer that is neither what was asked for nor the way to it. */
export function badAnswer(url: URL, status: number, retryAfter: string | undefined): AgentError {
  const detail = { url: plainUrl(url), status };
  if ([408, 425, 429].includes(status) || status >= 500) {
    const seconds = Number(retryAfter);
    return new AgentError('input.failed', {
      ...{ reason: `The source answered with status ${status}.`, ...detail },
      ...(seconds > 0 ? { retry_after_seconds: Math.min(seconds, mostPauseSeconds) } : {}),
    });
  }
  if (status === 401 || status === 403) {
    return refused('The source does not let whoever asks have it. Look at the credential of the input.', detail);
  }
  return refused(
    status === 404 ? 'The source does not have it.' : `The source answered with status ${status}.`,
    detail,
  );
}

/** Any failure of a request or of a file as one of ours. */
export function describeTrouble(url: URL, error: unknown): unknown {
  if (error instanceof AgentError) return error;
  const { message } = error as Error;
  if (isDiskFull(error)) return new AgentError('disk.full', { reason: message }, { cause: error });
  if (isCertificateTrouble(error)) {
    return refused('The source cannot prove who it is.', { url: plainUrl(url) }, error);
  }
  const reason = `${message || 'The connection failed'}.`;
  return new AgentError('input.failed', { reason, url: plainUrl(url) }, { cause: error });
}

interface Patience {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Attempts in a row that bring nothing before it is given up; 8 if absent. */
  readonly mostIdle?: number | undefined;
}

/** Does it until it is done, over what passes. An attempt after which `have` says more than ever before was not idle. */
export async function patiently<T>(
  { clock, signal, mostIdle = usualIdle }: Patience,
  work: () => Promise<T>,
  have: () => number = () => 0,
): Promise<T> {
  let most = have();
  for (let idle = 0; ; ) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      idle = have() > most ? 1 : idle + 1;
      most = Math.max(most, have());
      if (!(error instanceof AgentError) || !passing.includes(error.code) || idle > mostIdle) throw error;
      const asked = Number(error.detail['retry_after_seconds'] ?? 0) * 1000;
      await clock.pause(Math.max(asked, backoffDelay(backoff, idle)), signal);
    }
  }
}
