/**
 * Runs a small program of the host to learn something from it, and never waits longer than asked.
 *
 * The program gets no input, an environment of ours and a process group of its own, so that what it started ends with
 * it. A process that cannot be killed (a driver call that hangs in the kernel) is left behind: the caller still gets
 * its answer on time.
 */
export type ProgramResult =
  | { readonly outcome: 'exited'; readonly exitCode: number; readonly stdout: string; readonly stderr: string }
  | { readonly outcome: 'timed_out' }
  /** `why` is the system's error code (ENOENT, EACCES, …), or what ended it: a signal, too much output. */
  | { readonly outcome: 'broken'; readonly why: string };

export interface ProgramOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Added to PATH and locale; nothing else of our own environment is passed on. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Longest output that is read, in characters of either stream. */
const maxOutput = 256 * 1024;

/** Never rejects because of the program, only with the signal's reason. `file` is an absolute path. */
export async function runProgram(
  file: string,
  args: readonly string[],
  { timeoutMs, signal, env = {} }: ProgramOptions,
): Promise<ProgramResult> {
  // Loaded on first use: it costs 80 ms and 25 MB, and a host without these programs never needs it.
  const { execa } = await import('execa');
  signal?.throwIfAborted();

  const child = execa(file, args, {
    cwd: '/',
    stdin: 'ignore',
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', ...env },
    extendEnv: false,
    maxBuffer: maxOutput,
    detached: true,
    cleanup: false,
    killSignal: 'SIGKILL',
    reject: false,
  });
  const ended = child.then(({ exitCode, stdout, stderr, code, signal: killedBy, isMaxBuffer }): ProgramResult => {
    if (isMaxBuffer) {
      return { outcome: 'broken', why: 'too much output' };
    }
    return exitCode === undefined
      ? { outcome: 'broken', why: code ?? killedBy ?? 'unknown' }
      : { outcome: 'exited', exitCode, stdout, stderr };
  });

  const limit = firstOf(timeoutMs, signal);
  try {
    const result = await Promise.race([ended, limit.reached]);
    if (result.outcome !== 'exited') {
      rememberUntilGone(file, child);
      abandon(child);
    }
    signal?.throwIfAborted();
    return result;
  } finally {
    limit.clear();
  }
}

/** Processes that were given up and are still there, by program: more than none only for as long as the kernel holds them. */
const leftBehind = new Map<string, number>();

/** True while a call of this program that was given up is still not gone: another one would only hang beside it. */
export function isLeftBehind(file: string): boolean {
  return (leftBehind.get(file) ?? 0) > 0;
}

function rememberUntilGone(file: string, child: Child): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
    return;
  }
  leftBehind.set(file, (leftBehind.get(file) ?? 0) + 1);
  child.once('exit', () => {
    const others = (leftBehind.get(file) ?? 1) - 1;
    if (others > 0) {
      leftBehind.set(file, others);
    } else {
      leftBehind.delete(file);
    }
  });
}

function firstOf(timeoutMs: number, signal: AbortSignal | undefined) {
  const { promise: reached, resolve } = Promise.withResolvers<ProgramResult>();
  const stop = () => resolve({ outcome: 'timed_out' });
  const timer = setTimeout(stop, timeoutMs);
  signal?.addEventListener('abort', stop);
  const clear = () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  };
  return { reached, clear };
}

/** What is needed of a child to let go of it. */
interface Child {
  readonly pid?: number | undefined;
  readonly exitCode: number | null;
  readonly signalCode: NodeJS.Signals | null;
  once(event: 'exit', listener: () => void): unknown;
  readonly stdout: { destroy(): unknown } | null;
  readonly stderr: { destroy(): unknown } | null;
  unref(): void;
}

/** Kills the whole group and lets go of it: neither its pipes nor its end can hold this process up any more. */
function abandon(child: Child): void {
  if (child.pid !== undefined) {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') {
        throw error;
      }
    }
  }
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.unref();
}
