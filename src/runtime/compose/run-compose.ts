/**
 * Runs Compose once: an environment of ours and nothing else, a process group of its own, output that is read line by line
 * and kept in bounds. Secrets come by the environment only; they are in no argument.
 */
import { AgentError } from '../../contract/failures.ts';
import { noConfiguration } from '../../host/compose.ts';
import type { StackOptions } from '../stacks.ts';
import { readComposeFailure, readStep } from './compose-words.ts';

export interface ComposeCall extends StackOptions {
  readonly file: string;
  readonly args: readonly string[];
  /** Socket of the gate. */
  readonly socketPath: string;
  readonly env: Readonly<Record<string, string>>;
}

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Lines that a failure is made of, and characters of one that are kept. */
const mostWords = 20;
const longestLine = 4096;

/**
 * Resolves when it has exited with 0; the failure that its words mean otherwise, `compose.unavailable` where there is nothing
 * to start, the signal's reason once it is aborted.
 */
export async function runCompose({ file, args, socketPath, env, signal, onStep, onLine }: ComposeCall): Promise<void> {
  const { execa } = await import('execa');
  signal.throwIfAborted();
  const words: string[] = [];
  const take = (line: string) => {
    const step = readStep(line);
    if (step) {
      onStep?.(step.container, step.step);
    } else if (line.trim() !== '') {
      onLine?.(line);
      words.push(line);
      words.splice(0, words.length - mostWords);
    }
  };

  const child = execa(file, args, {
    ...{ cwd: '/', stdin: 'ignore', extendEnv: false, detached: true, cleanup: false, reject: false, buffer: false },
    env: {
      ...{ PATH: path, LC_ALL: 'C.UTF-8', ...noConfiguration },
      ...{ DOCKER_HOST: `unix://${socketPath}`, COMPOSE_DISABLE_ENV_FILE: '1', ...env },
    },
  });
  const end = () => killGroup(child.pid);
  signal.addEventListener('abort', end, { once: true });
  try {
    const [result] = await Promise.all([child, readLines(child.stdout, take), readLines(child.stderr, take)]);
    signal.throwIfAborted();
    if (child.pid === undefined) {
      throw new AgentError('compose.unavailable', { reason: `${file} cannot be started: ${result.code}.` });
    }
    if (result.exitCode !== 0) {
      throw readComposeFailure(words, result.exitCode ?? null);
    }
  } finally {
    signal.removeEventListener('abort', end);
  }
}

async function readLines(stream: AsyncIterable<Buffer>, take: (line: string) => void): Promise<void> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = (lines.pop() ?? '').slice(0, longestLine);
    for (const line of lines) {
      take(line.slice(0, longestLine));
    }
  }
  take(rest);
}

/** Compose and whatever it has started. */
export function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') {
      throw error;
    }
  }
}
