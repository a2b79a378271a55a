/** `node-agent run-task` as the process that people start. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import { killable } from './killable.ts';
import { programOf } from './programs.ts';
import type { TestHost } from './test-host.ts';

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The last line of stdout, if there was a result. */
  readonly result: TaskResult | undefined;
}

export interface RunningTask {
  readonly child: ChildProcess;
  /** Resolves when stderr has the text, with what matched. */
  saw(wanted: string | RegExp): Promise<RegExpExecArray>;
  ended: Promise<Ended>;
}

export function startRunTask(
  host: Pick<TestHost, 'folder' | 'configFile'>,
  task: unknown,
  args: readonly string[] = [],
): RunningTask {
  const file = join(host.folder, `task-${crypto.randomUUID()}.json`);
  writeFileSync(file, JSON.stringify(task));
  return startNodeAgent(['run-task', file, '--config', host.configFile, ...args]);
}

export interface AgentProcessOptions {
  /** Whom it runs as, if not as the test itself. */
  readonly uid?: number;
  readonly gid?: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** What runs, if not what the sources are: a bundle of its own, or the executable of a release. */
  readonly program?: string;
}

export function startNodeAgent(
  args: readonly string[],
  { program = programOf('node-agent'), ...options }: AgentProcessOptions = {},
): RunningTask {
  return startProgram(program, args, options);
}

/** `gpuaas` with the control plane and the token of somebody in its environment. */
export function startGpuaas(args: readonly string[], env: Readonly<Record<string, string>>): RunningTask {
  return startProgram(programOf('gpuaas'), args, { env: { ...process.env, ...env } });
}

function startProgram(
  program: string,
  args: readonly string[],
  options: Omit<AgentProcessOptions, 'program'>,
): RunningTask {
  const env = killable(options.env);
  const [command = '', ...words] = /\.(ts|mjs)$/.test(program) ? [process.execPath, program] : [program];
  const child = spawn(command, [...words, ...args], { ...options, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  const waiting = new Set<() => void>();
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
    for (const check of waiting) {
      check();
    }
  });
  const stdout = text(child.stdout);

  return {
    child,
    saw: async (wanted) => {
      const { promise, resolve } = Promise.withResolvers<RegExpExecArray>();
      const pattern = typeof wanted === 'string' ? new RegExp(RegExp.escape(wanted)) : wanted;
      const check = () => {
        const found = pattern.exec(stderr);
        return found && resolve(found);
      };
      waiting.add(check);
      check();
      const found = await Promise.race([
        promise,
        // Not `exit`: what it said last may come behind that.
        once(child, 'close').then(() =>
          Promise.reject<never>(new Error(`it ended before it said ${wanted}: ${stderr}`)),
        ),
      ]);
      waiting.delete(check);
      return found;
    },
    ended: once(child, 'close').then(async ([code, signal]) => {
      const out = await stdout;
      const lastLine = out.trimEnd().split('\n').at(-1) ?? '';
      const result = lastLine.startsWith('{') ? (JSON.parse(lastLine) as TaskResult) : undefined;
      return { code, signal, stdout: out, stderr, result };
    }),
  };
}
