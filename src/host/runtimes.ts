/**
 * Finds out which container runtimes this host has and whether they could be used. Changes nothing.
 *
 * docker is asked through the gate, which is the only process with its socket. podman and nerdctl are asked for no more
 * than `--version`: anything further (`podman info`) leaves files behind, and a connection would start a sleeping
 * service.
 */
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentError } from '../contract/failures.ts';
import { type RuntimeProbe, runtimeNames } from '../contract/workload-oci-runtime-status.ts';
import { type SocketState, socketState } from './listening-sockets.ts';
import { findProgram, searchFolders } from './programs.ts';
import { type ProgramResult, runProgram } from './run-program.ts';

export type RuntimeName = (typeof runtimeNames)[number];
type RuntimeState = RuntimeProbe['state'];

export interface RuntimeSources {
  /** PATH of this process. */
  readonly path: string | undefined;
  /** Searched behind PATH. */
  readonly places?: readonly string[];
  /** Runtimes that host policy allows. */
  readonly approved: readonly RuntimeName[];
  /** Asks the engine behind the gate; fails with an AgentError that says what is wrong with it. */
  readonly askEngine: (signal: AbortSignal) => Promise<{ readonly version: string }>;
  /** Sockets of the services, the first that listens counts. */
  readonly sockets?: Readonly<Record<'podman' | 'nerdctl', readonly string[]>>;
  /** Kernel's list of Unix sockets. */
  readonly socketTable?: string;
  /** How long one program may take. */
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
}

const usualSockets = {
  podman: ['/run/podman/podman.sock', `/run/user/${process.getuid?.() ?? 0}/podman/podman.sock`],
  nerdctl: ['/run/containerd/containerd.sock'],
};
const usualTimeoutMs = 3000;

/** docker, podman and nerdctl, in this order. Rejects only with the signal's reason. */
export async function probeRuntimes(sources: RuntimeSources): Promise<RuntimeProbe[]> {
  const folders = searchFolders(sources.path, sources.places);
  const probes = { docker: probeDocker, podman: probeClient, nerdctl: probeClient };
  return await Promise.all(
    runtimeNames.map(async (name) => {
      const found = await probes[name](name, folders, sources);
      return { name, searched: folders, approved: sources.approved.includes(name), ...found };
    }),
  );
}

type Finding = Pick<RuntimeProbe, 'state' | 'found' | 'version' | 'reason'>;

async function probeDocker(_: RuntimeName, folders: readonly string[], sources: RuntimeSources): Promise<Finding> {
  const [client, daemon, answer] = await Promise.all([
    findProgram('docker', folders),
    findProgram('dockerd', folders),
    askEngine(sources),
  ]);
  const found = client ?? daemon;
  if ('version' in answer) {
    return { state: 'ready', found, version: answer.version, reason: null };
  }
  if (answer.state === 'no_permission' || answer.isOther) {
    return { state: answer.state, found, version: null, reason: answer.reason };
  }
  if (found === null) {
    return { state: 'not_installed', found, version: null, reason: notFound('docker or dockerd', folders) };
  }
  const reason = daemon === null ? `${answer.reason} Only the client is installed, not dockerd.` : answer.reason;
  return { state: 'not_running', found, version: null, reason };
}

type Answer =
  | { readonly version: string }
  | {
      readonly state: RuntimeState;
      readonly reason: string;
      /** True if an engine answers, and none that may be used. */
      readonly isOther: boolean;
    };

async function askEngine({ askEngine: ask, signal }: RuntimeSources): Promise<Answer> {
  try {
    return { version: (await ask(signal)).version };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AgentError)) {
      throw error;
    }
    const state = isDenied(error) ? 'no_permission' : 'not_running';
    return { state, reason: error.message, isOther: error.code === 'engine.unsupported' };
  }
}

/** True if the engine or its gate is there and does not let us in. */
function isDenied(error: AgentError): boolean {
  if (error.detail['state'] === 'no_permission') {
    return true;
  }
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM') {
      return true;
    }
  }
  return false;
}

async function probeClient(name: RuntimeName, folders: readonly string[], sources: RuntimeSources): Promise<Finding> {
  const found = await findProgram(name, folders);
  if (found === null) {
    return { state: 'not_installed', found, version: null, reason: notFound(name, folders) };
  }

  const paths = (sources.sockets ?? usualSockets)[name === 'podman' ? 'podman' : 'nerdctl'];
  const [version, service] = await Promise.all([
    versionOf(found, sources),
    serviceState(paths, sources.socketTable ?? '/proc/net/unix'),
  ]);
  if ('reason' in version) {
    return { state: 'not_running', found, version: null, reason: version.reason };
  }
  return { found, ...version, ...service };
}

async function versionOf(
  program: string,
  { timeoutMs = usualTimeoutMs, signal }: RuntimeSources,
): Promise<{ version: string } | { reason: string }> {
  const result = await withScratch((env) => runProgram(program, ['--version'], { timeoutMs, signal, env }));
  if (result.outcome === 'timed_out') {
    return { reason: `${program} --version did not end within ${timeoutMs / 1000} s.` };
  }
  if (result.outcome === 'broken') {
    return { reason: `${program} --version could not be run: ${result.why}.` };
  }
  const version = /\bversion v?(\d[\w.+~-]*)/.exec(result.stdout)?.[1];
  if (result.exitCode !== 0 || version === undefined) {
    return { reason: `${program} --version ended with ${result.exitCode} and named no version.` };
  }
  return { version };
}

/**
 * Without root's rights even `podman --version` makes folders in the home, the runtime folder and the temporary folder
 * of its user, and fails where it cannot. Here all three are one folder, which goes again: if not with this probe, because
 * the agent was killed meanwhile, then with a later one.
 */
async function withScratch(work: (env: Record<string, string>) => Promise<ProgramResult>): Promise<ProgramResult> {
  let scratch: string;
  try {
    await sweepScratch();
    scratch = await mkdtemp(join(tmpdir(), scratchPrefix));
  } catch (error) {
    return { outcome: 'broken', why: `no temporary folder (${(error as NodeJS.ErrnoException).code})` };
  }
  try {
    return await work({ HOME: scratch, XDG_RUNTIME_DIR: scratch, TMPDIR: scratch });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** No probe takes as long: a folder that old has lost its owner. */
const abandonedMs = 60_000;
const scratchPrefix = 'gpuaas-probe-';

async function sweepScratch(): Promise<void> {
  const names = (await readdir(tmpdir())).filter((name) => name.startsWith(scratchPrefix));
  for (const path of names.map((name) => join(tmpdir(), name))) {
    // Another probe may sweep, too.
    const found = await stat(path).catch(() => undefined);
    if (found?.uid === process.getuid?.() && Date.now() - (found?.mtimeMs ?? 0) > abandonedMs) {
      // What cannot be removed must not keep the host from being looked at.
      await rm(path, { recursive: true, force: true }).catch(() => undefined);
    }
  }
}

const byUse: readonly SocketState[] = ['listening', 'denied', 'abandoned', 'absent'];

async function serviceState(
  paths: readonly string[],
  table: string,
): Promise<{ state: RuntimeState; reason: string | null }> {
  const states = await Promise.all(paths.map((path) => socketState(path, table)));
  const best = byUse.find((state) => states.includes(state)) ?? 'absent';
  const path = paths[states.indexOf(best)] ?? '';
  switch (best) {
    case 'listening':
      return { state: 'ready', reason: null };
    case 'denied':
      return { state: 'no_permission', reason: `This process may not use the socket ${path}.` };
    case 'abandoned':
      return { state: 'not_running', reason: `Nobody listens on the socket ${path}.` };
    case 'absent':
      return { state: 'not_running', reason: `Its service has no socket at ${paths.join(' or ')}.` };
  }
}

function notFound(programs: string, folders: readonly string[]): string {
  return `No program ${programs} in ${folders.length} searched folders.`;
}
