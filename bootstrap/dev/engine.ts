/**
 * The container engine of the development ground.
 *
 * An engine that answers already is used as it is and never stopped. Where there is none, Debian's is installed and
 * started by hand, with its data in the cache folder: containers that somebody keeps in the engine's usual folder are
 * not woken by ours. It outlives the process that started it.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { startDaemonOfEngine } from './dockerd.ts';
import { answersPing } from './engine-api.ts';
import { rememberHost, restoreHost } from './engine-traces.ts';
import { ensurePackages } from './packages.ts';
import { isAlive, type ProcessId, rotateLog, stopProcess, until } from './processes.ts';
import { step } from './progress.ts';
import { cacheDir, readRecord, stateDir, withLock, writeRecord } from './state.ts';

/** An engine that answers. */
export interface DevEngine {
  readonly socketPath: string;
  /** False for an engine that the machine already had: it is not ours to stop. */
  readonly startedByUs: boolean;
}

/** Where engines are expected to answer. */
export const ENGINE_SOCKET = '/var/run/docker.sock';

/** How long an engine that is on its way up, or very busy, may take to answer. */
const BUSY_SECONDS = 60;

/** Makes sure that an engine answers at the usual socket. Idempotent. */
export async function ensureEngine(): Promise<DevEngine> {
  if (await answersPing(ENGINE_SOCKET, BUSY_SECONDS)) return await runningEngine();
  return await withLock('engine', async () => {
    if (await answersPing(ENGINE_SOCKET, BUSY_SECONDS)) return await runningEngine();
    const installed = await ensurePackages(['docker.io', 'iptables', 'ca-certificates']);
    if (installed.includes('docker.io') && (await installStartedOne())) return await runningEngine();
    await step('starting the container engine', startByHand);
    return await runningEngine();
  });
}

/** Stops the engine if this ground started it; answers whether it did. */
export async function stopEngine(): Promise<boolean> {
  return await withLock('engine', async () => {
    const ours = await readRecord<ProcessId>(recordPath());
    if (ours === undefined || !(await isAlive(ours))) return false;
    await step('stopping the container engine', () => stopProcess(ours, 30));
    await restoreHost();
    return true;
  });
}

/** Whether the engine that runs now was started by {@link ensureEngine}. */
export async function isOurEngine(): Promise<boolean> {
  return (await engineProcess()) !== undefined;
}

/** Process of the engine that runs now, if {@link ensureEngine} has started it. */
export async function engineProcess(): Promise<ProcessId | undefined> {
  const ours = await readRecord<ProcessId>(recordPath());
  return ours !== undefined && (await isAlive(ours)) ? ours : undefined;
}

async function runningEngine(): Promise<DevEngine> {
  await rotateLog(logPath());
  return { socketPath: ENGINE_SOCKET, startedByUs: await isOurEngine() };
}

/** Under an init system the package's installation starts the engine itself. */
async function installStartedOne(): Promise<boolean> {
  const seconds = existsSync('/run/systemd/system') ? BUSY_SECONDS : 3;
  return await until(() => answersPing(ENGINE_SOCKET), seconds, 100);
}

async function startByHand(): Promise<void> {
  if (await isOurEngine()) {
    if (await until(() => answersPing(ENGINE_SOCKET), BUSY_SECONDS)) return;
    throw new Error(`The container engine runs but does not answer. Its log is ${logPath()}.`);
  }
  await rememberHost();
  const home = {
    socketPath: ENGINE_SOCKET,
    data: join(cacheDir(), 'engine'),
    run: join(stateDir(), 'engine-run'),
    logPath: logPath(),
  };
  const flags = ['--log-opt=max-size=10m', '--log-opt=max-file=3', '--shutdown-timeout=10'];
  await writeRecord(recordPath(), await startDaemonOfEngine(home, flags));
}

const recordPath = () => join(stateDir(), 'engine.json');
const logPath = () => join(stateDir(), 'engine.log');
