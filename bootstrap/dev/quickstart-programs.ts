/**
 * The commands of this checkout as quickstart runs them: the same that people type, as one file each beside a Node of their
 * own. The users that they run as need not get into the checkout, and what runs does not change with it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { bundle } from './build.ts';
import { writeConsole } from './build-console.ts';
import { ensureCompose } from './compose.ts';
import type { UserId } from './processes.ts';
import { say } from './progress.ts';
import { place } from './quickstart-place.ts';

const sources = {
  gpuaas: 'src/cli/gpuaas.ts',
  'node-agent': 'src/cli/node-agent.ts',
  'package-index': 'bootstrap/dev/quickstart-index.ts',
} as const;

export type Program = keyof typeof sources;
type Json = Readonly<Record<string, unknown>>;

const node = join(place.programs, `node-${process.version}`);
/** What an init system gives its daemons; what the shell of the person has in it is nobody else's business. */
const cleanEnv = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };

/** Makes sure that the programs are those of the checkout as it is now. */
export async function ensurePrograms(): Promise<void> {
  mkdirSync(place.programs, { recursive: true });
  if (!existsSync(node)) {
    replace(node, (draft) => copyFileSync(process.execPath, draft, constants.COPYFILE_FICLONE));
  }
  await Promise.all([
    ...Object.entries(sources).map(async ([program, source]) => {
      const { text: code } = await bundle(source);
      replace(fileOf(program as Program), (draft) => writeFileSync(draft, code));
    }),
    writeConsole(consoleFolder),
  ]);
}

const consoleFolder = join(place.programs, 'console');

/** Its page, which names the rest by what is in it. */
export const consolePage = (): string => readFileSync(join(consoleFolder, 'index.html'), 'utf8');

/** Where the agent finds Compose: its user need not get into the cache. */
export const pluginFolder = join(place.programs, 'cli-plugins');

/** Makes sure that the agent can launch stacks. */
export async function ensureComposePlugin(): Promise<void> {
  const file = join(pluginFolder, 'docker-compose');
  if (existsSync(file)) return;
  const source = join(await ensureCompose(), 'docker-compose');
  mkdirSync(pluginFolder, { recursive: true });
  replace(file, (draft) => copyFileSync(source, draft, constants.COPYFILE_FICLONE));
}

/** In one step: a daemon that starts now reads the old one or the new one. */
function replace(file: string, write: (draft: string) => void): void {
  const draft = `${file}.${process.pid}`;
  write(draft);
  renameSync(draft, file);
}

/** The one file of a program. */
export const fileOf = (program: Program): string => join(place.programs, `${program}.mjs`);

/** What to start for a command of ours. */
export function argvOf(program: Program, args: readonly string[]): [string, ...string[]] {
  return [node, fileOf(program), ...args];
}

/** As whom and with what environment a command of ours is started. */
export function circumstances(env: NodeJS.ProcessEnv = {}, user: UserId | undefined = undefined) {
  return { env: { ...cleanEnv, ...env }, ...user };
}

interface Failure {
  readonly message: string;
  readonly hint: string;
  readonly code: string;
  readonly detail: { readonly errors?: readonly { readonly path: string; readonly message: string }[] };
}

interface Asking {
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  /** Whom the command runs as, if not as we do. */
  readonly user?: UserId;
}

/**
 * Runs a command with `--json` to its end and gives what it printed last. The steps that it tells on the way are shown.
 * An error with its own words where it fails; `complaint` begins them.
 */
export async function ask<T extends Json>(
  program: Program,
  args: readonly string[],
  complaint: string,
  { env, input = '', user }: Asking = {},
): Promise<T> {
  const [command, ...rest] = argvOf(program, [...args, '--json']);
  const child = spawn(command, rest, { ...circumstances(env, user), cwd: '/', stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end(input);
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
