/** Ends a command that goes on until somebody has seen enough. */
import { AgentError } from '../contract/failures.ts';

export interface Interruption {
  /** Aborts on SIGINT, on SIGTERM, and when whoever reads stdout goes away. */
  readonly signal: AbortSignal;
  stopListening(): void;
}

export function untilInterrupted(): Interruption {
  const controller = new AbortController();
  const stop = () => controller.abort(new AgentError('task.cancelled', { reason: 'It was interrupted.' }));
  const names = ['SIGINT', 'SIGTERM'] as const;
  for (const name of names) {
    process.once(name, stop);
  }
  process.stdout.on('error', stop);
  return {
    signal: controller.signal,
    stopListening: () => {
      for (const name of names) {
        process.off(name, stop);
      }
      process.stdout.off('error', stop);
    },
  };
}
