/**
 * What the host's engine has to be told, merged into what its operator has told it. Pure.
 *
 * Nothing that is there is changed or dropped, keys that nobody here knows included: a wish that contradicts the file is left
 * to the operator and named. Only gVisor's `--nvproxy` is set and taken away, where he has asked for that. The default runtime is
 * never set: with NVIDIA's in its place, a container without a card could have all of them.
 */
import { AgentError } from '../contract/failures.ts';
import { readStrictJson } from '../contract/strict-json.ts';
import { flagOf, withNvproxy } from './gvisor-args.ts';
import type { RuntimeProgram } from './gvisor-program.ts';

export interface EngineWishes {
  /** NVIDIA's container runtime, where the host has cards of theirs. */
  readonly nvidiaRuntime?: string;
  /** gVisor's `runsc`, where it was asked for. */
  readonly gvisorRuntime?: string;
  /** Whether the gVisor of this host can open files by itself, which is switched off then. */
  readonly gvisorDirectfs?: boolean;
  /** Whether gVisor hands on NVIDIA cards; as it is where nobody has said. */
  readonly gvisorCards?: boolean;
  /** False where the engine is part of a swarm, which cannot have it. */
  readonly liveRestore: boolean;
}

export interface MergedEngineConfig {
  /** The file as it should be; the very same text where nothing is to be added. */
  readonly text: string;
  /** What the operator has set otherwise, one sentence each. */
  readonly otherwise: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;

const logBounds = { 'max-size': '10m', 'max-file': '3' } as const;

/** `daemon.json` with what is missing in it; an empty text is a file that is not there. `config.invalid` for what is no JSON object. */
export function mergeEngineConfig(text: string, wishes: EngineWishes): MergedEngineConfig {
  const config = text.trim() === '' ? {} : objectIn(text);
  const otherwise: string[] = [];
  const added = {
    ...(wishes.liveRestore ? liveRestore(config, otherwise) : {}),
    ...logs(config, otherwise),
    ...runtimes(config, wishes, otherwise),
  };
  if (config['default-runtime'] === 'nvidia') {
    otherwise.push('`default-runtime` is nvidia: a container of anybody that asks for no card can have all of them.');
  }
  if (config['iptables'] === false) {
    otherwise.push('`iptables` is false: the engine forwards no ports and separates no networks.');
  }
  const isSame = Object.keys(added).length === 0;
  return { text: isSame ? text : `${JSON.stringify({ ...config, ...added }, null, 2)}\n`, otherwise };
}

function objectIn(text: string): Json {
  const read = readStrictJson(Buffer.from(text));
  if (!read.ok || typeof read.value !== 'object' || read.value === null || Array.isArray(read.value)) {
    throw new AgentError('config.invalid', { reason: 'The configuration of the engine is no JSON object.' });
  }
  return read.value as Json;
}

function liveRestore(config: Json, otherwise: string[]): Json {
  const set = config['live-restore'];
  if (set === undefined) return { 'live-restore': true };
  if (set !== true) otherwise.push('`live-restore` is off: workloads end when the engine is restarted.');
  return {};
}

/** Bounds for containers that bring none of their own, as ours do. */
function logs(config: Json, otherwise: string[]): Json {
  const driver = config['log-driver'];
  const options = config['log-opts'];
  if (driver === undefined && options === undefined) {
    return { 'log-driver': 'json-file', 'log-opts': { ...logBounds } };
  }
  const isFile = driver === undefined || driver === 'json-file';
  if (isFile && !isBounded(options)) {
    otherwise.push('`log-opts` has no `max-size`: the log of a container can fill the disk.');
  }
  return {};
}

function isBounded(options: unknown): boolean {
  return typeof options === 'object' && options !== null && Object.hasOwn(options, 'max-size');
}

/**
 * What gVisor is started with, and what is so without it; the latter where it opens files by itself (`gvisorDirectfs`).
 *
 * The engine tells the names of a network on the loopback of each container's namespace, where gVisor's own network cannot ask. With
 * the kernel's a container is in its namespace as ever. And a sandbox that opens files of its host by itself empties one of a mount
 * that is read-only, when its root opens that to be written anew, before it refuses to: the process that else opens them does not.
 */
const harmWithout = ({ gvisorDirectfs }: EngineWishes): Readonly<Record<string, string>> => ({
  '--network=host': 'its containers find no names, neither of their network nor of the world',
  ...(gvisorDirectfs && { '--directfs=false': 'its containers can empty files of what they have mounted read-only' }),
});

function runtimes(config: Json, wishes: EngineWishes, otherwise: string[]): Json {
  const { nvidiaRuntime, gvisorRuntime, gvisorCards } = wishes;
  const known = (config['runtimes'] ?? {}) as Json;
  const harm = harmWithout(wishes);
  const wanted: Json = {
    ...(nvidiaRuntime === undefined ? {} : { nvidia: { path: nvidiaRuntime, runtimeArgs: [] } }),
    ...(gvisorRuntime === undefined ? {} : { runsc: { path: gvisorRuntime, runtimeArgs: Object.keys(harm) } }),
  };
  const { runsc } = known as { readonly runsc?: { readonly runtimeArgs?: readonly string[] } };
  for (const [arg, what] of Object.entries(runsc ? harm : {})) {
    const [name = '', value] = arg.slice(2).split('=');
    if (flagOf(runsc?.runtimeArgs ?? [], name) === value) continue;
    otherwise.push(`Runtime runsc is without \`${arg}\`: ${what}.`);
  }
  const missing = Object.fromEntries(Object.entries(wanted).filter(([name]) => !Object.hasOwn(known, name)));
  for (const [name, value] of Object.entries(wanted)) {
    const there = (known[name] as { path?: unknown } | undefined)?.path;
    const path = (value as { path: string }).path;
    if (there !== undefined && there !== path && !path.endsWith(`/${String(there)}`)) {
      otherwise.push(`Runtime ${name} is ${String(there)}, and not ${path}.`);
    }
  }
  const added = { ...missing, ...cards({ ...known, ...missing }, gvisorCards) };
  return Object.keys(added).length === 0 ? {} : { runtimes: { ...known, ...added } };
}

/** gVisor's runtime as it should be; nothing where it is so, or is no program. */
function cards({ runsc }: Json, isOn: boolean | undefined): Json {
  const { path, runtimeArgs: args = [] } = (runsc ?? {}) as {
    readonly path?: unknown;
    readonly runtimeArgs?: string[];
  };
  if (isOn === undefined || path === undefined) return {};
  const runtimeArgs = withNvproxy(args, isOn);
  return runtimeArgs === args ? {} : { runsc: { ...(runsc as Json), runtimeArgs } };
}

/** The runtimes that are programs, by their names in this `daemon.json`. */
export function runtimePrograms(text: string): ReadonlyMap<string, RuntimeProgram> {
  const known = Object.entries((objectIn(text)['runtimes'] ?? {}) as Readonly<Record<string, Json>>);
  return new Map(
    known.flatMap(([name, { path, runtimeArgs = [] }]) =>
      typeof path === 'string' ? [[name, { path, args: runtimeArgs as readonly string[] }] as const] : [],
    ),
  );
}
