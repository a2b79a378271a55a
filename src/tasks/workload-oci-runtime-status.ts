/**
 * Runs `workload.oci_runtime_status`: whether, and with what, this host can run containers.
 *
 * Changes nothing, on the file system or the engine. A host that is not ready is an answer and not a failure: the
 * output says why. Every source has a deadline, so that one that hangs costs seconds and hides none of the others.
 */

import { AgentError } from '../contract/failures.ts';
import { planParts } from '../contract/plan-parts.ts';
import type { WorkloadOciRuntimeStatusOutput } from '../contract/workload-oci-runtime-status.ts';
import { nvidiaWay } from '../host/card-ways.ts';
import { askGvisor } from '../host/gvisor-program.ts';
import { findProgram, searchFolders } from '../host/programs.ts';
import { readDisk, readTotals } from '../host/resources.ts';
import { probeRuntimes, type RuntimeSources } from '../host/runtimes.ts';
import type { RoomLook } from '../jobs/engine-room.ts';
import { beyondReserve } from '../policy/disk-room.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import type { EngineFacts } from '../runtime/engine.ts';
import { type Patience, patiently } from '../runtime/patient-engine.ts';
import { freeResources, type HostResources, roundDown } from './admission.ts';
import type { TaskContext, TaskHandler } from './task-context.ts';

type Output = WorkloadOciRuntimeStatusOutput;
type Amount = Output['resources']['cpu_cores'];
type StatusContext = Pick<TaskContext, 'engine' | 'stacks' | 'policy' | 'admission' | 'gpus' | 'log' | 'signal'> & {
  readonly jobs: Pick<TaskContext['jobs'], 'room'>;
};

/** Where the host is looked at; a test points it elsewhere. */
export interface StatusSources extends Partial<Pick<RuntimeSources, 'places' | 'sockets' | 'socketTable'>> {
  readonly path: string | undefined;
  /** Longest that the engine may take to answer. */
  readonly engineTimeoutMs?: number;
  /** How long an engine that is away may take to come back; without it, one that is away is told at once. */
  readonly patience?: Patience;
  /** Longest that one program may take. */
  readonly programTimeoutMs?: number;
}

/** A launch may wait for the answer, and must not fail because gate or engine are just being restarted. */
const patience: Patience = { patienceMs: 15_000, backoff: { firstMs: 100, maxMs: 1000, factor: 2 } };

export const probeRuntimeStatus: TaskHandler<'workload.oci_runtime_status'> = async (_params, context) =>
  await runtimeStatus(context, { path: process.env['PATH'], patience });

/** Rejects only with the signal's reason. */
export async function runtimeStatus(context: StatusContext, sources: StatusSources): Promise<Output> {
  const { policy, log, signal } = context;
  signal.throwIfAborted();
  const { programTimeoutMs, engineTimeoutMs = 5000, patience, ...host } = sources;
  const program = { ...host, signal, ...(programTimeoutMs === undefined ? {} : { timeoutMs: programTimeoutMs }) };
  const ask = <T>(question: (limit: AbortSignal) => Promise<T>) => within(engineTimeoutMs, signal, question);
  const askFacts = () => ask((limit) => context.engine.facts(limit));
  const onAway = (wait_ms: number) => log.info({ wait_ms }, 'the engine is away, waiting for it');
  const facts = patience === undefined ? askFacts() : patiently(askFacts, signal, patience, onAway);
  const amountsOf = async () => {
    await facts;
    return await ask((limit) => context.admission.read(limit));
  };

  const roomOf = async () => {
    await facts;
    return await ask(async (limit) => await context.jobs.room?.look(limit));
  };

  const [engine, sandboxes, amounts, room, runtimes, compose, cards] = await Promise.all([
    unlessAway(facts),
    unlessAway(facts.then((known) => sandboxesOf(known, policy, signal))),
    unlessAway(amountsOf()),
    unlessAway(roomOf()),
    probeRuntimes({ ...program, approved: policy.approved_engines, askEngine: () => facts }),
    askCompose(context),
    context.gpus.cards(signal),
  ]);
  const path = engine?.rootDir ?? policy.allocation.home;
  const disk = await diskAmount(path, policy.reserves.disk_gib, room);

  const reasons = whyNotReady({ runtimes, sandboxes, disk });
  const missing = new Set([...reasons, sandboxes?.noGvisor ?? null, compose.reason, cards.reason]);
  for (const reason of missing) {
    if (reason === null) continue;
    log.warn({ reason }, 'host probe found something missing');
  }
  return {
    ready: reasons.length === 0,
    reasons,
    probed_at: new Date().toISOString(),
    runtimes,
    compose_version: compose.version,
    engine: engine === null ? null : { ...describeEngine(engine), ...(await describeWay(engine, cards.gpus, sources)) },
    ...(sandboxes === null ? {} : { offers: await offersOf(context, sandboxes.names) }),
    gpus: cards.gpus,
    resources: { ...describeResources(amounts ?? (await nothingFree(policy))), disk_gib: disk },
  };
}

/** Sandboxes of host policy that the engine has. */
interface Sandboxes {
  readonly names: readonly string[];
  /** Why gVisor is none of them, though the engine has a runtime of its name. */
  readonly noGvisor: string | null;
}

async function sandboxesOf(
  { runtimes, runtimePrograms }: EngineFacts,
  { sandboxes }: HostPolicy,
  signal: AbortSignal,
): Promise<Sandboxes> {
  const known = Object.entries(sandboxes).filter(([, runtime]) => runtimes.includes(runtime));
  const names = known.map(([name]) => name);
  const { gvisor } = Object.fromEntries(known);
  const answer = gvisor === undefined ? undefined : await askGvisor(gvisor, runtimePrograms, signal);
  return answer !== undefined && 'why' in answer
    ? { names: names.filter((name) => name !== 'gvisor'), noGvisor: answer.why }
    : { names, noGvisor: null };
}

async function offersOf(
  { policy, gpus, signal }: StatusContext,
  names: readonly string[],
): Promise<NonNullable<Output['offers']>> {
  const asked = policy.gvisor_cards === true && names.includes('gvisor');
  // An engine that goes away meanwhile gives none.
  const gvisorCards = asked && (await unlessAway(gpus.whyNoneInGvisor(signal))) === undefined;
  return {
    ...{
      sandboxes: [...names],
      builds: policy.builds !== undefined,
      build_network: policy.builds?.network === 'bridge',
      downloads: policy.payloads !== undefined,
    },
    ...{ gvisor_cards: gvisorCards, plans: [...planParts] },
  };
}

/** The version, or why there is none: a host without Compose runs single containers. */
async function askCompose({
  stacks,
  signal,
}: StatusContext): Promise<{ version: string | null; reason: string | null }> {
  try {
    return { version: await stacks.version(signal), reason: null };
  } catch (error) {
    if (error instanceof AgentError && error.code === 'compose.unavailable') {
      return { version: null, reason: error.message };
    }
    throw error;
  }
}

/** What stands against any launch. Full CPU and memory do not: a launch may replace what holds them. */
function whyNotReady({ runtimes, sandboxes, disk }: Findings): string[] {
  const docker = runtimes.find(({ name }) => name === 'docker');
  return [
    ...(docker === undefined || docker.reason === null ? [] : [docker.reason]),
    ...(docker?.approved === true ? [] : ['Host policy does not approve docker, the engine behind the gate.']),
    ...(sandboxes?.names.length !== 0
      ? []
      : [sandboxes.noGvisor ?? 'The engine has none of the runtimes that host policy names as sandboxes.']),
    ...(disk.free + (disk.evictable ?? 0) > 0
      ? []
      : [`The engine's disk is down to what host policy keeps free (${disk.reserved} GiB): nothing can be pulled.`]),
  ];
}

interface Findings {
  readonly runtimes: Output['runtimes'];
  /** Undefined while the engine is away. */
  readonly sandboxes: Sandboxes | null;
  readonly disk: Output['resources']['disk_gib'];
}

/** Asks with a deadline of its own, so that a hung engine does not use up the time of the whole task. */
async function within<T>(ms: number, signal: AbortSignal, question: (limit: AbortSignal) => Promise<T>): Promise<T> {
  const timeout = AbortSignal.timeout(ms);
  try {
    return await question(AbortSignal.any([signal, timeout]));
  } catch (error) {
    signal.throwIfAborted();
    if (timeout.aborted && !(error instanceof AgentError)) {
      throw new AgentError('engine.timed_out', { timeout_ms: ms }, { cause: error });
    }
    throw error;
  }
}

/** Null where engine or gate cannot answer. */
async function unlessAway<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof AgentError) {
      return null;
    }
    throw error;
  }
}

function describeEngine(facts: EngineFacts): NonNullable<Output['engine']> {
  return {
    version: facts.version,
    api_version: facts.apiVersion,
    runtimes: [...facts.runtimes],
    storage_driver: facts.storageDriver,
    cgroup_driver: facts.cgroupDriver,
    cgroup_version: facts.cgroupVersion,
    root_dir: facts.rootDir,
  };
}

async function describeWay(
  { cdiFolders }: EngineFacts,
  gpus: Output['gpus'],
  { path, places }: StatusSources,
): Promise<Pick<NonNullable<Output['engine']>, 'gives_cards'>> {
  const uuids = gpus.flatMap(({ vendor, uuid }) => (vendor === 'nvidia' ? [uuid] : []));
  const find = (program: string) => findProgram(program, searchFolders(path, places));
  return uuids.length === 0 ? {} : { gives_cards: (await nvidiaWay(uuids, cdiFolders, find)).by };
}

/** While the engine is away nobody knows what is promised, and nothing can be launched. */
async function nothingFree({ reserves }: HostPolicy): Promise<HostResources> {
  const { cpu, memory } = freeResources([], await readTotals(), reserves);
  return { cpu: { ...cpu, free: 0 }, memory: { ...memory, free: 0 } };
}

function describeResources({ cpu, memory }: HostResources): Pick<Output['resources'], 'cpu_cores' | 'memory_gib'> {
  const inUnits = (amount: HostResources['cpu'], unit: number): Amount => ({
    total: roundDown(amount.total / unit),
    reserved: roundDown(amount.reserved / unit),
    used: roundDown(amount.used / unit),
    free: roundDown(amount.free / unit),
  });
  return { cpu_cores: inUnits(cpu, 1), memory_gib: inUnits(memory, 2 ** 30) };
}

/** Used is what is written there now, by anybody; nothing is free while nothing is launched for want of it. Without `room` nothing is said of what would make room, and of what is held. */
async function diskAmount(
  path: string,
  reserved: number,
  room: RoomLook | null | undefined,
): Promise<Output['resources']['disk_gib']> {
  const { totalBytes, freeBytes } = await readDisk(path);
  const gib = (bytes: number) => roundDown(bytes / 2 ** 30);
  // Sizes of files with holes are more than they take.
  const there = Math.min(room?.evictable ?? 0, totalBytes - freeBytes);
  const can = room?.isShort
    ? { free: 0, evictable: 0 }
    : beyondReserve({ free: freeBytes, evictable: there, reserve: reserved * 2 ** 30 });
  return {
    ...(room && {
      evictable: gib(can.evictable),
      held: Object.fromEntries([...room.held].map(([job, bytes]) => [job, gib(bytes)])),
    }),
    total: gib(totalBytes),
    reserved,
    used: gib(totalBytes - freeBytes),
    free: gib(can.free),
  };
}
