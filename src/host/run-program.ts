/**
 * Runs a small program of the host to learn something from it, and never waits longer than asked.
 *
 * The program gets no input, an environment of ours and a process group of its own, so that what it started ends with
 * it. A process that cannot be killed (a driver call that hangs in the kernel) is left behind: the caller still gets
 * its answer on time.
 *
 * By Node's own means: every start of the agent asks some program, and a library would stay in memory for that.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

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
  signal?.throwIfAborted();
  const child = start(file, args, env);
  if ('outcome' in child) {
    return child;
  }
  const ended = resultOf(child);

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

/** Most of what stands against a start is told by the child; the rest is thrown. */
function start(file: string, args: readonly string[], env: ProgramOptions['env']): ChildProcess | Broken {
  try {
    return spawn(file, args, {
      ...{ cwd: '/', stdio: ['ignore', 'pipe', 'pipe'], detached: true },
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', ...env },
    });
  } catch (error) {
    return broken(error as NodeJS.ErrnoException);
  }
}

type Broken = ProgramResult & { readonly outcome: 'broken' };

function broken({ code }: NodeJS.ErrnoException): Broken {
  return { outcome: 'broken', why: code ?? 'unknown' };
}

/** Resolves when program and output have ended, or sooner where nothing more is of use. */
function resultOf(child: ChildProcess): Promise<ProgramResult> {
  const { promise, resolve } = Promise.withResolvers<ProgramResult>();
  const fail = (error: Error) => resolve(broken(error));
  // There are no pipes where the process has no file descriptor left.
  const read = (stream: Readable | null | undefined) => {
    const output = { text: '' };
    stream?.setEncoding('utf8').on('error', fail);
    stream?.on('data', (piece: string) => {
      output.text += piece;
      if (output.text.length > maxOutput) {
        resolve({ outcome: 'broken', why: 'too much output' });
      }
    });
    return output;
  };
  const [stdout, stderr] = [read(child.stdout), read(child.stderr)];
  child.on('error', fail);
  child.once('close', (exitCode: number | null, killedBy: NodeJS.Signals | null) => {
    const [out, err] = [stdout, stderr].map(({ text }) => text.replace(/\r?\n$/, ''));
    resolve(
      exitCode === null
        ? { outcome: 'broken', why: killedBy ?? 'unknown' }
        : { outcome: 'exited', exitCode, stdout: out ?? '', stderr: err ?? '' },
    );
  });
  return promise;
}

/** Processes that were given up and are still there, by program: more than none only for as long as the kernel holds them. */
const leftBehind = new Map<string, number>();

/** True while a call of this program that was given up is still not gone: another one would only hang beside it. */
export function isLeftBehind(file: string): boolean {
  return (leftBehind.get(file) ?? 0) > 0;
}

function rememberUntilGone(file: string, child: ChildProcess): void {
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

/** Kills the whole group and lets go of it: neither its pipes nor its end can hold this process up any more. */
function abandon(child: ChildProcess): void {
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
