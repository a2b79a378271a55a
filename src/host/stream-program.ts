/**
 * Runs a program of the host for what it writes, however much that is, with no more of the machine than it is given.
 *
 * It gets no input, an environment of ours, limits of its own, and a process group that ends with it.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';

export interface ProgramLimits {
  readonly memoryBytes: number;
  readonly cpuSeconds: number;
}

export interface StreamedProgram {
  readonly stdout: Readable;
  /** Why it has failed, once it has ended; undefined where it has not. */
  trouble(): Promise<string | undefined>;
  /** Ends it at any time. */
  end(): void;
}

const mostSaid = 2000;
/** Of files that it may have open. It writes none. */
const mostFiles = 64;

/** `prlimit` (util-linux) and `file` are absolute paths. */
export function streamProgram(
  prlimit: string,
  [file, ...args]: readonly [string, ...string[]],
  { memoryBytes, cpuSeconds }: ProgramLimits,
): StreamedProgram {
  const limits = [`--as=${memoryBytes}`, `--cpu=${cpuSeconds}`, `--nofile=${mostFiles}`, '--fsize=0', '--core=0'];
  const child = spawn(prlimit, [...limits, '--', file, ...args], {
    ...{ cwd: '/', stdio: ['ignore', 'pipe', 'pipe'], detached: true },
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' },
  });
  const { stdout } = child;
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-mostSaid);
  });
  const ended = endOf(child);
  return {
    stdout,
    trouble: async () => {
      const how = await ended;
      return how === undefined ? undefined : `${how}${said.trim() === '' ? '' : `: ${said.trim()}`}`;
    },
    end: () => {
      stdout.destroy();
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    },
  };
}

/** Never rejects; undefined where all is well. */
async function endOf(child: ChildProcessByStdio<null, Readable, Readable>): Promise<string | undefined> {
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    if (code === 0) return undefined;
    return code === null ? `It was ended by ${signal}` : `It ended with ${code}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'It could not be started';
  }
}
