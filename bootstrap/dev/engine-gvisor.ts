/**
 * Tells the engine of the ground of gVisor while it runs: on SIGHUP it reads its runtimes again, and containers do not notice.
 *
 * An engine that was on this machine before is told only by whoever asks for it, as that changes its operator's file.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ENGINE_SOCKET, engineProcess, ensureEngine } from './engine.ts';
import { answersPing, askEngine } from './engine-api.ts';
import { ensureGvisor, GVISOR_RUNTIME } from './gvisor.ts';
import { installedByUs } from './packages.ts';
import { signal, until } from './processes.ts';
import { step } from './progress.ts';
import { readRecord, stateDir, withLock, writeRecord } from './state.ts';

/** A configuration of an engine, as far as it concerns us. */
interface Config {
  readonly runtimes?: Readonly<Record<string, { readonly path?: string }>>;
}

/** What was written where into the configuration of an engine that is not ours. */
interface Told {
  readonly file: string;
  readonly program: string;
}

const usualFile = '/etc/docker/daemon.json';
const usualPidFile = '/var/run/docker.pid';
const reloadSeconds = 30;

/**
 * Makes sure that the engine, which is started if there is none, knows gVisor. `isAsked` has one told that was here before.
 * Undefined, or why it does not know it, as the rest of a sentence.
 */
export async function offerGvisor(isAsked: boolean): Promise<string | undefined> {
  if (await answersPing(ENGINE_SOCKET)) {
    if (await isKnown()) return undefined;
    if (!isAsked && !(await isOurs())) return 'the engine was here before, and is told of it only with --gvisor';
  }
  try {
    const program = await ensureGvisor();
    await ensureEngine();
    if (!(await isKnown()))
      await withLock('engine-gvisor', () => step('telling the engine of gVisor', () => tell(program)));
    return undefined;
  } catch (error) {
    if (error instanceof Error) return error.message;
    throw error;
  }
}

/** Takes it out of the configuration of an engine that was here before, and leaves the rest of that as it is. */
export async function forgetGvisor(): Promise<void> {
  const told = await readRecord<Told>(recordPath());
  if (told === undefined) return;
  const { file, program } = told;
  const { runtimes = {}, ...others } = await configIn(file);
  const { [GVISOR_RUNTIME]: own, ...rest } = runtimes;
  if (own?.path === program) {
    // Only a file that names runtimes changes those that the engine has.
    await put(file, { ...others, runtimes: rest });
    if (await answersPing(ENGINE_SOCKET)) await reload((await processOf()).pid, async () => !(await isKnown()));
    if (Object.keys(rest).length === 0) await put(file, others);
  }
  await rm(recordPath(), { force: true });
}

async function isOurs(): Promise<boolean> {
  return (await engineProcess()) !== undefined || (await installedByUs()).includes('docker.io');
}

async function isKnown(): Promise<boolean> {
  const { Runtimes } = await askEngine<{ Runtimes: Readonly<Record<string, { path?: string }>> }>({
    ...{ socketPath: ENGINE_SOCKET, method: 'GET', path: '/info' },
  });
  const runtime = Runtimes[GVISOR_RUNTIME];
  return runtime !== undefined && !(runtime.path?.startsWith('/') && !existsSync(runtime.path));
}

async function tell(program: string): Promise<void> {
  const own = await engineProcess();
  const file = own === undefined ? usualFile : join(stateDir(), 'engine-run/daemon.json');
  const before = await configIn(file);
  const { pid } = own ?? (await processOf());
  if (own === undefined) await writeRecord(recordPath(), { file, program } satisfies Told);
  await put(file, { ...before, runtimes: { ...before.runtimes, [GVISOR_RUNTIME]: { path: program } } });
  if (await reload(pid, isKnown)) return;
  await put(file, before);
  throw new Error(`the engine does not take it from ${file}, which is as it was before`);
}

/** Whether it came to be so. */
async function reload(pid: number, condition: () => Promise<boolean>): Promise<boolean> {
  signal(pid, 'SIGHUP');
  return await until(condition, reloadSeconds, 100);
}

/** Of an engine that is not ours. */
async function processOf(): Promise<{ readonly pid: number }> {
  const pid = existsSync(usualPidFile) ? Number(await readFile(usualPidFile, 'utf8')) : 0;
  if (pid > 0) return { pid };
  throw new Error(`there is no process in ${usualPidFile} to tell of it`);
}

async function configIn(file: string): Promise<Config> {
  return existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as Config) : {};
}

/** In one step; a configuration that says nothing is no file. */
async function put(file: string, config: Config): Promise<void> {
  if (Object.keys(config).length === 0) return await rm(file, { force: true });
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.new`, `${JSON.stringify(config, null, 2)}\n`);
  await rename(`${file}.new`, file);
}

const recordPath = () => join(stateDir(), 'engine-gvisor.json');
