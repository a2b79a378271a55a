/** Finds Compose v2: the plugin of the docker client, which is a program of its own. Changes nothing. */
import { findProgram } from './programs.ts';
import { runProgram } from './run-program.ts';

export interface ComposeProbe {
  /** Path of the program; null if it cannot be used. */
  readonly file: string | null;
  /** Version of Compose v2 or later; null if it cannot be used. */
  readonly version: string | null;
  /** Why not, one sentence; null if there is a version. */
  readonly reason: string | null;
}

export interface ComposeSources {
  /** Where the plugin is looked for; see {@link pluginFolders}. */
  readonly folders?: readonly string[] | undefined;
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
}

/**
 * Where packages put plugins of the docker client. No home folder is among them: what runs as root must not be something
 * that a user could have put there. Version 1 was a Python program in PATH and is never found here.
 */
export const pluginFolders = [
  '/usr/local/lib/docker/cli-plugins',
  '/usr/local/libexec/docker/cli-plugins',
  '/usr/lib/docker/cli-plugins',
  '/usr/libexec/docker/cli-plugins',
] as const;

/**
 * A folder that does not exist: no configuration and no credential of a person's own, so that a probe shows what the stacks
 * will get.
 */
export const noConfiguration = { DOCKER_CONFIG: '/nonexistent/docker', HOME: '/nonexistent' } as const;

/** Rejects only with the signal's reason. */
export async function probeCompose({
  folders = pluginFolders,
  timeoutMs = 5000,
  signal,
}: ComposeSources): Promise<ComposeProbe> {
  const file = await findProgram('docker-compose', folders);
  if (file === null) {
    return unusable('The docker client has no Compose plugin.');
  }

  const result = await runProgram(file, ['version', '--short'], { timeoutMs, signal, env: noConfiguration });
  if (result.outcome === 'timed_out') {
    return unusable(`${file} version did not end within ${timeoutMs / 1000} s.`);
  }
  const version = result.outcome === 'exited' && result.exitCode === 0 ? versionIn(result.stdout) : undefined;
  if (version === undefined) {
    return unusable(`${file} does not tell its version.`);
  }
  return version.startsWith('1.')
    ? unusable(`${file} is version ${version}; version 1 is not supported.`)
    : { file, version, reason: null };
}

function unusable(reason: string): ComposeProbe {
  return { file: null, version: null, reason };
}

function versionIn(stdout: string): string | undefined {
  return /^v?(\d+\.\d[\w.+~-]*)\s*$/.exec(stdout)?.[1];
}
