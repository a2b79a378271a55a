/** Tells when a file is written, rotated or made, at no cost in between. */
import { watch } from 'node:fs';
import { basename, dirname } from 'node:path';

export interface FileWatch {
  /** Resolves after the next change; at once if there was one since the last call. Rejects with the signal's reason. */
  changed(): Promise<void>;
  close(): void;
}

/** Watches the folder, so that a file of the same name that takes its place is seen, too. */
export function watchFile(path: string, signal: AbortSignal): FileWatch {
  const name = basename(path);
  let seen = false;
  let wake: (() => void) | undefined;
  const watcher = watch(dirname(path), (_event, changed) => {
    if (changed === null || changed === name) {
      seen = true;
      wake?.();
    }
  });
  // The folder itself went away: nothing more will come, and the next look at the file says so.
  watcher.on('error', () => wake?.());

  return {
    changed: async () => {
      signal.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const stop = () => reject(signal.reason);
      signal.addEventListener('abort', stop, { once: true });
      wake = resolve;
      if (seen) {
        resolve();
      }
      try {
        await promise;
        seen = false;
      } finally {
        wake = undefined;
        signal.removeEventListener('abort', stop);
      }
    },
    close: () => watcher.close(),
  };
}
