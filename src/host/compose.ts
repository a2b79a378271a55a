/** Finds out whether Compose v2 is there: the plugin of the docker client that stacks are run with. Changes nothing. */
import { findProgram, searchFolders } from './programs.ts';
import { runProgram } from './run-program.ts';

export interface ComposeProbe {
  /** Version of Compose v2 or later; null if it cannot be used. */
  readonly version: string | null;
  /** Why not, one sentence; null if there is a version. */
  readonly reason: string | null;
}

export interface ComposeSources {
  readonly path: string | undefined;
  readonly places?: readonly string[];
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
}

/**
 * A folder that does not exist: the client finds no configuration, no credential and no plugin of a person's own, and
 * so shows what the stacks will get.
 */
const noConfiguration = { DOCKER_CONFIG: '/nonexistent/docker', HOME: '/nonexistent' };

/** Rejects only with the signal's reason. */
export async function probeCompose(sources: ComposeSources): Promise<ComposeProbe> {
  const { timeoutMs = 5000, signal } = sources;
  const folders = searchFolders(sources.path, sources.places);
  const client = await findProgram('docker', folders);
  if (client === null) {
    return { version: null, reason: 'The docker client, which Compose is a plugin of, is not installed.' };
  }

  const options = { timeoutMs, signal, env: noConfiguration };
  const result = await runProgram(client, ['compose', 'version', '--short'], options);
  if (result.outcome === 'timed_out') {
    return { version: null, reason: `${client} compose version did not end within ${timeoutMs / 1000} s.` };
  }
  const version = result.outcome === 'exited' && result.exitCode === 0 ? versionIn(result.stdout) : undefined;
  if (version !== undefined && !version.startsWith('1.')) {
    return { version, reason: null };
  }
  return { version: null, reason: await explainAbsence(folders) };
}

/** Version 1 was a program of its own; it is found by name only, never run. */
async function explainAbsence(folders: readonly string[]): Promise<string> {
  const standalone = await findProgram('docker-compose', folders);
  return standalone === null
    ? 'The docker client has no Compose plugin.'
    : `The docker client has no Compose plugin; ${standalone} is not one (version 1 is not supported).`;
}

function versionIn(stdout: string): string | undefined {
  return /^v?(\d+\.\d[\w.+~-]*)\s*$/.exec(stdout)?.[1];
}
