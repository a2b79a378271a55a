/** Tells when a file is written, rotated or made, at no cost in between. */
import { existsSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

export interface FileWatch {
  /**
   * Resolves with true after the next change, at once if there was one since the last call; with false where nothing
   * more will come: the folder is gone or cannot be watched any more. Rejects with the signal's reason.
   */
  changed(): Promise<boolean>;
  close(): void;
}

type OnChange = (event: string, changed: string | null) => void;

interface Watcher {
  on(event: 'error', listener: () => void): unknown;
  close(): void;
}

/** Watches the folder, so that a file of the same name that takes its place is seen, too. */
export function watchFile(
  path: string,
  signal: AbortSignal,
  open: (folder: string, onChange: OnChange) => Watcher = watch,
): FileWatch {
  const [folder, name] = [dirname(path), basename(path)];
  let seen = false;
  let over = false;
  let wake: (() => void) | undefined;
  const end = () => {
    over = true;
    wake?.();
  };
  const watcher = open(folder, (_event, changed) => {
    if (changed === basename(folder) && !existsSync(folder)) {
      end();
    } else if (changed === null || changed === name) {
      seen = true;
      wake?.();
    }
  });
  watcher.on('error', end);

  return {
    changed: async () => {
      signal.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const stop = () => reject(signal.reason);
      signal.addEventListener('abort', stop, { once: true });
      wake = resolve;
      if (seen || over) {
        resolve();
      }
      try {
        await promise;
        // What was written before the end is looked at first.
        const more = seen || !over;
        seen = false;
        return more;
      } finally {
        wake = undefined;
        signal.removeEventListener('abort', stop);
      }
    },
    close: () => watcher.close(),
  };
}
