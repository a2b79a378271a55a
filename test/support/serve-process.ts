/** `gpuaas serve` as a real process of a test's own, on a free port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { killable } from './killable.ts';
import { programOf } from './programs.ts';

export interface ServeProcess {
  readonly process: ChildProcess;
  /** What it printed as JSON lines until it was ready, or ended. */
  readonly lines: readonly Record<string, unknown>[];
  /** Undefined if it ended instead. */
  readonly url: string | undefined;
  readonly adminToken: string | undefined;
  /** What it wrote to stderr so far. */
  stderr(): string;
  /** Sends the signal and waits for the end; returns the exit status, null for a killed one. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Resolves when it is ready or has ended. */
export async function serveProcess(
  dataDir: string,
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<ServeProcess> {
  const all = [programOf('gpuaas'), 'serve', '--json', '--data-dir', dataDir, '--listen', '127.0.0.1:0', ...args];
  // A core that it leaves goes with its data.
  const cwd = dirname(resolve(dataDir));
  const child = spawn(process.execPath, all, {
    cwd,
    env: { ...killable(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = once(child, 'exit');
  const lines: Record<string, unknown>[] = [];
  const reader = createInterface({ input: child.stdout });
  for await (const line of reader) {
    lines.push(JSON.parse(line) as Record<string, unknown>);
    if (lines.at(-1)?.['ready'] === true) {
      break;
    }
  }
  child.stdout.resume();
  return {
    ...{ process: child, lines, stderr: () => stderr },
    url: lines.find((line) => line['ready'] === true)?.['url'] as string | undefined,
    adminToken: lines.find((line) => 'admin_token' in line)?.['admin_token'] as string | undefined,
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal);
      const [status] = (await ended) as [number | null];
      return status;
    },
  };
}
