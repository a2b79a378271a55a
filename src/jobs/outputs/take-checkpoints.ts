/** Keeps the checkpoints of a job while it runs: looks again and again, and keeps what has changed. */
import type { KeptOutput } from '../../contract/job-outputs.ts';
import type { Clock } from '../../kit/clock.ts';
import { repeat } from '../../kit/repeat.ts';
import type { JobOutputs, PlannedOutput, Whereabouts } from './job-outputs.ts';

export interface CheckpointOptions {
  readonly outputs: Pick<JobOutputs, 'take' | 'of'>;
  /** Those of the plan; only checkpoints are looked at. */
  readonly wanted: readonly PlannedOutput[];
  /** Where it is to be found now; undefined while no container has its volume. */
  readonly whereIs: (output: PlannedOutput) => Whereabouts | undefined;
  readonly onKept: (kept: KeptOutput) => void;
  /** What goes wrong once is tried again. */
  readonly onError: (output: PlannedOutput, error: unknown) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly everyMs?: number;
}

const usualEveryMs = 30_000;

/** Resolves when the signal is aborted. */
export async function takeCheckpoints(options: CheckpointOptions): Promise<void> {
  const { outputs, whereIs, onKept, onError, clock, signal, everyMs = usualEveryMs } = options;
  const wanted = options.wanted.filter(({ type }) => type === 'checkpoint');
  if (wanted.length === 0) return;
  const look = async (output: PlannedOutput) => {
    const where = whereIs(output);
    if (!where) return;
    const before = outputs.of(where.job).find(({ name }) => name === output.name);
    const kept = await outputs.take(output, where, signal);
    if (kept && kept.sha256 !== before?.sha256) onKept(kept);
  };
  const lookAtAll = async () => {
    for (const output of wanted) {
      await look(output).catch((error) => {
        if (!signal.aborted) onError(output, error);
      });
    }
  };
  await repeat(lookAtAll, { everyMs, clock, signal, onError: () => undefined });
}
