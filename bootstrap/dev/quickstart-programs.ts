/** The commands of this checkout as quickstart runs them: the same that people type. */
import { type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { say } from './progress.ts';

export type Program = 'gpuaas' | 'node-agent';
type Json = Readonly<Record<string, unknown>>;

const cli = resolve(import.meta.dirname, '../../src/cli');

/** What to start for a command of ours. */
export function argvOf(program: Program, args: readonly string[]): [string, ...string[]] {
  return [process.execPath, join(cli, `${program}.ts`), ...args];
}

interface Failure {
  readonly message: string;
  readonly hint: string;
  readonly code: string;
  readonly detail: { readonly errors?: readonly { readonly path: string; readonly message: string }[] };
}

/**
 * Runs a command with `--json` to its end and gives what it printed last. The steps that it tells on the way are shown.
 * An error with its own words where it fails; `complaint` begins them.
 */
export async function ask<T extends Json>(
  program: Program,
  args: readonly string[],
  complaint: string,
  { env = {}, input = '' }: { env?: NodeJS.ProcessEnv; input?: string } = {},
): Promise<T> {
  const [command, ...rest] = argvOf(program, [...args, '--json']);
  const options: SpawnOptions = { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] };
  const child = spawn(command, rest, options) as ReturnType<typeof spawn> & { stdin: NonNullable<unknown> };
  child.stdin?.end(input);
  if (!child.stdout || !child.stderr) throw new Error(`${program} has no output`);
  const [stdout] = await Promise.all([text(child.stdout), showSteps(child.stderr), once(child, 'exit')]);
  const answer = lastJson(stdout);
  if (child.exitCode === 0 && answer !== undefined) return answer as T;
  const failure = answer?.['failure'] as Failure | null | undefined;
  throw new Error(`${complaint}: ${failure ? wordsOf(failure) : 'it says why above.'}`);
}

function wordsOf({ message, hint, code, detail: { errors = [] } }: Failure): string {
  const places = errors.map((error) => `${error.path} ${error.message} `).join('');
  return `${message} ${places}${hint} [${code}]`;
}

/** A step is a JSON line with time and message; anything else is passed on as it is. */
async function showSteps(stream: NodeJS.ReadableStream): Promise<void> {
  for await (const line of createInterface({ input: stream })) {
    const step = parsed(line);
    const { type, time, message } = (step ?? {}) as { type?: string; time?: string; message?: string };
    // The answer to a launch, with its token: for programs, and it comes again at the end.
    if (type === 'accepted') continue;
    if (time === undefined || message === undefined) say(line);
    else say(`${time.slice(11, 19)}  ${message}`);
  }
}

function lastJson(stdout: string): Json | undefined {
  return parsed(stdout.trimEnd().split('\n').at(-1) ?? '');
}

function parsed(line: string): Json | undefined {
  try {
    return line.startsWith('{') ? (JSON.parse(line) as Json) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
