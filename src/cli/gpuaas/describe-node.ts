/** `gpuaas nodes show`: one page that answers whether a host takes work, and why not. `--json` has all that it reported. */
import type { Failure } from '../../contract/failures.ts';
import { table } from '../output.ts';
import { oneLine } from '../printable.ts';
import { ago } from '../words.ts';

/** The part of `NodeView` that people are shown. What a host reports is missing until it has reported. */
export interface Node {
  readonly id: string;
  readonly name: string;
  readonly allocation_id: string;
  readonly status: string;
  readonly status_reason: string | null;
  readonly connected: boolean;
  readonly last_seen_at: string | null;
  readonly drain: boolean;
  readonly enrolled_at: string;
  readonly agent_version: string | null;
  readonly channel: string;
  readonly canary: boolean;
  readonly behind: string | null;
  readonly update: NodeUpdate | null;
  readonly inventory: {
    readonly os: string;
    readonly kernel: string;
    readonly arch: string;
    readonly draining: boolean;
    readonly health?: Health;
  } | null;
  readonly runtime: Runtime | null;
  readonly readiness: { readonly state: string; readonly reasons: readonly string[] };
  readonly drift: readonly {
    readonly what: string;
    readonly expected: string;
    readonly found: string;
    readonly remedy: string;
  }[];
  readonly topology: {
    readonly workloads: readonly { readonly workload_id: string; readonly state: string; readonly restarts: number }[];
  } | null;
}

export interface NodeUpdate {
  readonly state: string;
  readonly version: string;
  readonly phase: string | null;
  readonly bytes?: number;
  readonly bytes_total?: number;
  readonly since: string;
  readonly failure: Failure | null;
}

interface Health {
  readonly ok: number;
  readonly warn: number;
  readonly fail: number;
  readonly skipped: number;
  readonly findings: readonly {
    readonly name: string;
    readonly status: string;
    readonly found: string;
    readonly fix: string;
  }[];
}

interface Card {
  readonly uuid: string;
  readonly vendor: string;
  readonly name: string;
  readonly memory_mib: number;
  readonly mig: { readonly parent: string; readonly profile: string } | null;
  readonly health: string;
  readonly reason: string | null;
  readonly held_by: string | null;
}

interface Runtime {
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly probed_at: string;
  readonly runtimes: readonly {
    readonly name: string;
    readonly state: string;
    readonly version: string | null;
    readonly reason: string | null;
  }[];
  readonly compose_version: string | null;
  readonly gpus: readonly Card[];
  readonly resources: Readonly<Record<string, { readonly total: number; readonly free: number }>>;
}

/** As text, `now` in milliseconds since 1970. */
export function describeNode(node: Node, now: number): string {
  const { inventory, runtime, topology, readiness, drift } = node;
  const facts = [
    ['node', node.id],
    ['name', node.name],
    ['allocation', node.allocation_id],
    ['status', node.status_reason === null ? node.status : `${node.status}: ${node.status_reason}`],
    ['connected', connection(node, now)],
    ['ready', [readiness.state.replace('_', ' '), ...readiness.reasons].join(': ')],
    ['drain', drainWord(node)],
    ['enrolled', `${ago(node.enrolled_at, now)} ago`],
    ['agent', agentWord(node)],
    ['channel', node.canary ? `${node.channel}, a canary of it` : node.channel],
    ...(node.update === null ? [] : [['update', updateWords(node.update, now)]]),
    ['system', inventory === null ? '-' : `${inventory.os}, kernel ${inventory.kernel}, ${inventory.arch}`],
    ['doctor', healthWord(inventory?.health)],
    ...(runtime === null ? [['runtime', 'not asked yet']] : runtimeFacts(runtime, now)),
  ];
  const workloads = (topology?.workloads ?? []).map(({ workload_id, state, restarts }) => [
    ...[workload_id, state, restarts === 0 ? '' : `restarted ${restarts} times`],
  ]);
  const drifted = drift.map(({ what, expected, found, remedy }) => [what, found, `expected ${expected}`, remedy]);
  const found = (inventory?.health?.findings ?? []).map((each) => [each.status, each.name, each.found, each.fix]);
  const cards = (runtime?.gpus ?? []).map(cardRow);
  return [
    table(facts.map(([name = '', value = '']) => [name, oneLine(value)])),
    ...(drifted.length === 0 ? [] : ['', 'Drift', table(drifted.map((row) => row.map(oneLine)))]),
    ...(found.length === 0 ? [] : ['', 'Doctor', table(found.map((row) => row.map(oneLine)))]),
    ...(cards.length === 0 ? [] : ['', 'Cards', table(cards.map((row) => row.map(oneLine)))]),
    ...(workloads.length === 0 ? [] : ['', 'Workloads', table(workloads.map((row) => row.map(oneLine)))]),
  ].join('\n');
}

/** Of the checks that an agent makes by itself; `node-agent doctor` on the host makes all. */
function healthWord(health: Health | undefined): string {
  if (health === undefined) return 'not asked yet';
  const { ok, warn, fail, skipped } = health;
  return `${fail} failed, ${warn} warnings, ${ok} ok, ${skipped} skipped`;
}

function cardRow({ uuid, vendor, name, memory_mib, mig, health, reason, held_by: holder }: Card): string[] {
  const size = memory_mib === 0 ? 'memory of the host' : `${memory_mib} MiB`;
  return [
    ...[uuid, vendor, mig === null ? name : `${name} (${mig.profile} of ${mig.parent})`, size],
    ...[reason === null ? health : `${health}: ${reason}`, holder === null ? 'free' : `held by ${holder}`],
  ];
}

/** Asked for here, or by somebody on the host, which refuses new work just the same. */
export function drainWord({ drain, inventory }: Pick<Node, 'drain'> & { inventory: { draining: boolean } | null }) {
  return drain ? 'yes' : inventory?.draining ? 'by its host' : 'no';
}

/** The version, and the one that it is to run. */
export function agentWord({ agent_version, behind }: Pick<Node, 'agent_version' | 'behind'>): string {
  return `${agent_version ?? '-'}${behind === null ? '' : `, behind ${behind}`}`;
}

/** `to 1.5.0: running, downloading, 40 %, 2 min ago`. */
export function updateWords({ state, version, phase, bytes, bytes_total, since, failure }: NodeUpdate, now: number) {
  const part = bytes === undefined || !bytes_total ? undefined : `${Math.floor((bytes / bytes_total) * 100)} %`;
  const isAtWork = state === 'queued' || state === 'running';
  const how = [state.replace('_', ' '), isAtWork && phase?.replace('_', ' '), isAtWork && part].filter(Boolean);
  const why = failure === null ? '' : `: ${failure.message} ${failure.hint}`;
  return `to ${version}: ${how.join(', ')}${why}, ${ago(since, now)} ago`;
}

function connection({ connected, last_seen_at }: Node, now: number): string {
  if (connected) return 'yes';
  return last_seen_at === null ? 'never was' : `no, last seen ${ago(last_seen_at, now)} ago`;
}

function runtimeFacts(
  { ready, reasons, probed_at, runtimes, compose_version, gpus, resources }: Runtime,
  now: number,
): string[][] {
  return [
    ['runtime', `${ready ? 'ready' : `not ready: ${reasons.join(' ')}`}, asked ${ago(probed_at, now)} ago`],
    ...runtimes.map(({ name, state, version, reason }) => [
      ...['', `${[name, version].filter(Boolean).join(' ')}: ${reason ?? state.replaceAll('_', ' ')}`],
    ]),
    ['compose', compose_version ?? 'not installed: no stack can be launched'],
    ['GPUs', String(gpus.length)],
    ...Object.entries(resources).map(([name, { free, total }]) => [
      ...[name.replace('_gib', ' GiB').replaceAll('_', ' '), `${free} free of ${total}`],
    ]),
  ];
}
