/** What one look at a workload found out. */
export interface ProbeResult {
  readonly ready: boolean;
  /** Short, for a person: `HTTP 503`, `ECONNREFUSED`, `exit code 1`. Never the content of an answer. */
  readonly answer: string;
}

/** One attempt. Rejects only with the reason of the signal, or when looking itself is impossible. */
export type Probe = (signal: AbortSignal) => Promise<ProbeResult>;

/** The result for an error of a socket; the signal's reason instead if it was aborted. */
export function failedProbe(error: unknown, signal: AbortSignal): ProbeResult {
  signal.throwIfAborted();
  const { code, message } = error as NodeJS.ErrnoException;
  return { ready: false, answer: code ?? message };
}
