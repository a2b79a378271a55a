/**
 * Whether gVisor can hand on the NVIDIA cards of this host. Its nvproxy passes the calls of a program on to the driver and so has to know
 * that driver by its exact version, has to be switched on for the runtime, and takes the ids of the cards from the engine.
 */
import type { Gpu } from '../contract/gpus.ts';
import { isForGvisor } from '../contract/gpus.ts';
import { engineHook } from './card-ways.ts';
import { flagOf } from './gvisor-args.ts';
import type { RuntimeProgram } from './gvisor-program.ts';
import { runProgram } from './run-program.ts';

export interface GvisorHost {
  /** Name of gVisor among the runtimes of the engine; undefined where host policy does not offer it. */
  readonly name: string | undefined;
  readonly programs: ReadonlyMap<string, RuntimeProgram>;
  readonly gpus: readonly Pick<Gpu, 'vendor' | 'mig' | 'driver'>[];
  readonly find: (program: string) => Promise<string | null>;
}

/** One sentence; undefined where its containers get cards. What cannot be asked counts as no. */
export async function whyNoneInGvisor(
  { name, programs, gpus, find }: GvisorHost,
  signal: AbortSignal,
): Promise<string | undefined> {
  const cards = gpus.filter(isForGvisor);
  if (name === undefined) return 'Host policy offers no gvisor.';
  if (cards.length === 0) return 'The host has no whole card of NVIDIA, and gVisor knows no others.';
  const runtime = programs.get(name);
  if (runtime === undefined) return `The engine does not tell which program its runtime ${name} is.`;
  if (flagOf(runtime.args, 'nvproxy') !== 'true')
    return `The runtime ${name} of the engine is registered without --nvproxy.`;
  if ((await find(engineHook)) === null)
    return `The engine cannot give cards by their ids: ${engineHook} is not there.`;
  const known = await knownDrivers(runtime.path, signal);
  if (known === undefined) return `${runtime.path} does not tell which drivers its nvproxy knows.`;
  const strange = new Set(
    cards.map(({ driver }) => driver ?? 'without a version').filter((each) => !known.includes(each)),
  );
  return strange.size === 0 ? undefined : `${runtime.path} does not know the driver ${[...strange].join(', ')}.`;
}

/** A machine that has just started may be busy, and a no stands for an hour. */
const listTimeoutMs = 30_000;

/** Undefined where it does not tell. */
export async function knownDrivers(runsc: string, signal: AbortSignal): Promise<string[] | undefined> {
  const asked = await runProgram(runsc, ['nvproxy', 'list-supported-drivers'], { timeoutMs: listTimeoutMs, signal });
  return asked.outcome === 'exited' && asked.exitCode === 0 ? asked.stdout.split(/\s+/) : undefined;
}
