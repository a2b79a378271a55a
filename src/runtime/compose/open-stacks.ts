/** Stacks by Docker Compose v2, which talks to the gate like every other client of ours. */
import { access, mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError } from '../../contract/failures.ts';
import { composeProject } from '../../contract/names.ts';
import { type ComposeProbe, probeCompose } from '../../host/compose.ts';
import type { StackOptions, StackRunner } from '../stacks.ts';
import { cameToBeMeanwhile } from './compose-words.ts';
import { endLeftovers } from './leftovers.ts';
import { runCompose } from './run-compose.ts';

export interface ComposeOptions {
  /** Socket of the gate. */
  readonly socketPath: string;
  /** State of the agent; the documents are in a folder below it. */
  readonly stateDir: string;
  /** Folders that the plugin is looked for in; those of packages if left out. */
  readonly folders?: readonly string[] | undefined;
}

export function openStacks({ socketPath, stateDir, folders }: ComposeOptions): StackRunner {
  const root = join(stateDir, 'stacks');
  let alone: Promise<void> | undefined;
  let ready: Promise<ComposeProbe> | undefined;

  /** Asked once; one that cannot be used may have been mended since. */
  async function compose(signal: AbortSignal): Promise<{ file: string; version: string }> {
    // Once for all: whatever runs in this folder later is ours.
    alone ??= endLeftovers(root).catch((error) => {
      alone = undefined;
      throw error;
    });
    // The probe is nobody's in particular, so nobody's signal ends it: it has a limit of its own.
    ready ??= probeCompose({ folders, signal: new AbortController().signal });
    const [{ file, version, reason }] = await Promise.all([ready, alone]);
    if (file === null || version === null) {
      ready = undefined;
      throw new AgentError('compose.unavailable', reason === null ? {} : { reason });
    }
    signal.throwIfAborted();
    return { file, version };
  }

  async function run(instance: string, args: readonly string[], options: StackOptions, env = {}): Promise<void> {
    const { file } = await compose(options.signal);
    const project = ['--project-name', composeProject(instance), '--project-directory', join(root, instance)];
    const all = ['--ansi', 'never', '--progress', 'plain', ...project, ...args];
    try {
      await runCompose({ ...options, file, args: all, socketPath, env });
    } catch (error) {
      // Taken away, or replaced, since it was asked.
      if (error instanceof AgentError && error.code === 'compose.unavailable') ready = undefined;
      throw error;
    }
  }

  return {
    version: async (signal) => (await compose(signal)).version,
    up: async ({ instance, document, env }, options) => {
      await compose(options.signal);
      const path = await writeDocument(root, instance, document);
      const how = ['--detach', '--no-build', '--no-recreate', '--pull', 'never'];
      const bringUp = () => run(instance, ['--file', path, 'up', ...how], options, env);
      await bringUp().catch((error) => {
        if (!cameToBeMeanwhile(error)) throw error;
        return bringUp();
      });
    },
    stop: (instance, grace, options) => run(instance, ['stop', '--timeout', String(grace)], options),
    start: (instance, options) => run(instance, ['start'], options),
    forget: async (instance) => {
      const folder = join(root, instance);
      const there = await access(folder).then(
        () => true,
        () => false,
      );
      await rm(folder, { recursive: true, force: true });
      return there;
    },
  };
}

/** Whole or not at all, for this user only. */
async function writeDocument(root: string, instance: string, document: object): Promise<string> {
  const folder = join(root, instance);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, 'compose.json');
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(`${asYaml(document)}\n`);
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  return path;
}

/**
 * JSON is YAML, but for characters that a reader of YAML refuses or takes for white space unless they are escaped. Half a
 * character becomes what the engine's own interface makes of it.
 */
function asYaml(document: object): string {
  const whole = (_key: string, value: unknown) => (typeof value === 'string' ? value.toWellFormed() : value);
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(document, whole, 2).replaceAll(/[\u007f-\u009f\u2028\u2029\ufffe\uffff]/g, escaped);
}
