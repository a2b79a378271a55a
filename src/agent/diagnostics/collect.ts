/**
 * What somebody who helps from afar has to see of a host: its checks, its agent, its journal, its engine and cards, and the
 * logs of its newest tasks. Works without a running agent, too, with less to tell.
 *
 * What workloads print stays theirs: the output that a failed launch has kept is left out, of task logs and of the journal of
 * systemd. What a failure quotes of it to say why (an excerpt of a few lines) is in.
 */
import { lstat, readdir } from 'node:fs/promises';
import { release, uptime } from 'node:os';
import { join } from 'node:path';
import type {
  AgentCollectDiagnosticsOutput,
  AgentCollectDiagnosticsParams,
} from '../../contract/agent-collect-diagnostics.ts';
import { osName } from '../../host/os-name.ts';
import { findProgram, searchFolders } from '../../host/programs.ts';
import { runProgram } from '../../host/run-program.ts';
import { UntrustedFolder } from '../../kit/untrusted-folder.ts';
import type { HostPolicy } from '../../policy/host-policy.ts';
import type { ContainerEngine } from '../../runtime/engine.ts';
import { keptOutput } from '../../tasks/keep-output.ts';
import type { LoadedConfig } from '../config.ts';
import type { HostDoctor } from '../host-doctor.ts';
import type { Journal } from '../journal/journal.ts';
import type { AgentStatus, HostCards } from '../local-api/agent-status.ts';
import { taskLogFolder } from '../task-log.ts';
import { placesOf } from '../update/places.ts';
import { updateStateOf } from '../update/update-state.ts';
import { bundleOf, type Piece } from './bundle.ts';
import { discreetText } from './discreet-text.ts';

export interface DiagnosticSources {
  readonly loaded: LoadedConfig;
  readonly policy: HostPolicy;
  readonly version: string;
  readonly doctor: Pick<HostDoctor, 'examine'>;
  readonly engine: Pick<ContainerEngine, 'facts' | 'list'>;
  /** What only a running agent knows; undefined beside none. */
  readonly living?: LivingSources;
}

export interface LivingSources {
  readonly status: () => AgentStatus;
  readonly cards: () => HostCards;
  readonly journal: Pick<Journal, 'depth' | 'tasks' | 'workloads' | 'events'>;
  /** Secrets of what runs here, opened. */
  readonly secrets: () => Promise<readonly (string | Buffer)[]>;
}

const usualTasks = 10;
const mostEvents = 200;
const mostLogLines = 400;
/** Kept output stands between them, and is left out. */
const askedLogLines = 10 * mostLogLines;

/** Rejects only with the signal's reason. */
export async function collect(
  sources: DiagnosticSources,
  { tasks = usualTasks }: AgentCollectDiagnosticsParams,
  signal: AbortSignal,
): Promise<AgentCollectDiagnosticsOutput> {
  const { living, loaded } = sources;
  const { config } = loaded;
  const clean = discreetText((await living?.secrets()) ?? []);
  const logs = await newestLogs(taskLogFolder(config), tasks);
  const pieces: Piece[] = [
    { name: 'about.json', read: () => about(sources) },
    { name: 'doctor.json', read: (limit) => sources.doctor.examine(limit) },
    { name: 'status.json', read: async () => living?.status() },
    { name: 'config.json', read: async () => ({ config, sources: loaded.sources }) },
    { name: 'journal.json', read: async () => living && journalCounts(living.journal) },
    {
      name: 'events.ndjson',
      read: async () => living && lines(living.journal.events({ limit: mostEvents }).toReversed()),
    },
    { name: 'engine.json', read: (limit) => engineFacts(sources, limit) },
    { name: 'gpus.json', read: async () => living?.cards() },
    { name: 'updates.json', read: async () => updateStateOf(placesOf(config), config, sources.version) },
    { name: 'agent.log', read: (limit) => agentLog(limit) },
    ...logs.map((name) => ({ name: `tasks/${name}`, read: async () => taskLog(name, config) })),
  ];
  return await bundleOf(pieces, clean, signal);
}

async function about({ version, policy }: DiagnosticSources): Promise<object> {
  const { node, arch } = { node: process.versions.node, arch: process.arch };
  const host = { os: await osName(), kernel: release(), uptime_seconds: Math.round(uptime()) };
  return { version, node, arch, ...host, node_id: policy.node_id, allocation_id: policy.allocation.id, policy };
}

function journalCounts(journal: LivingSources['journal']): object {
  const counts: Record<string, number> = {};
  for (const { envelope, result } of journal.tasks({ limit: 1000 })) {
    const key = `${envelope.type} ${result?.status ?? 'at work'}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  const workloads = journal.workloads().map(({ workload_id, state, desired, since, restarts, stack }) => ({
    ...{ workload_id, state, desired, since, restarts },
    services: stack?.services.map(({ service, state: of }) => `${service}: ${of}`) ?? [],
  }));
  return { outbox: journal.depth(), tasks: counts, workloads };
}

async function engineFacts({ engine }: DiagnosticSources, signal: AbortSignal): Promise<object> {
  const [facts, containers] = await Promise.all([engine.facts(signal), engine.list(signal)]);
  return { ...facts, containers: containers.map(({ labels: _labels, ...container }) => container) };
}

/** The journal of systemd, where this user may read it. */
async function agentLog(signal: AbortSignal): Promise<string | undefined> {
  const tool = await findProgram('journalctl', searchFolders(process.env['PATH']));
  if (tool === null) return undefined;
  const units = ['gpuaas-node-agent', 'gpuaas-node-agent-gate', 'gpuaas-node-agent-update'];
  const which = units.flatMap((unit) => ['--unit', unit]);
  const asked = await runProgram(tool, [...which, '-n', String(askedLogLines), '--no-pager', '--output', 'short-iso'], {
    ...{ timeoutMs: 10_000, signal },
  });
  if (asked.outcome !== 'exited' || asked.exitCode !== 0 || /No journal files|not.*permi/i.test(asked.stderr)) {
    throw new Error('this user may not read the journal of systemd; `node-agent doctor --bundle FILE` as root has it.');
  }
  return withoutOutput(asked.stdout).slice(-mostLogLines).join('\n');
}

/** What a bundle can carry. Others are none of ours. */
const logName = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,92}\.ndjson$/;

/** Newest first. */
async function newestLogs(folder: string, most: number): Promise<string[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => logName.test(name));
  const dated = await Promise.all(
    names.map(async (name) => ({ name, at: (await lstat(join(folder, name)).catch(() => undefined))?.mtimeMs ?? 0 })),
  );
  return dated
    .toSorted((a, b) => b.at - a.at)
    .slice(0, most)
    .map(({ name }) => name);
}

/** Of a long log the end counts. */
const mostOfLog = 2000;

/** The folder is the agent's, and root may be who looks: with a link in it, root's own files would be in the bundle. */
function taskLog(name: string, config: LoadedConfig['config']): string {
  const folder = new UntrustedFolder(taskLogFolder(config), (_name, reason) => new Error(reason));
  try {
    const text = folder.read(name, 2 * config.task_logs.max_size_mib * 2 ** 20).toString();
    return withoutOutput(text).slice(-mostOfLog).join('\n');
  } finally {
    folder.close();
  }
}

/** Lines that no workload has written, as task logs and the journal of systemd have them. */
function withoutOutput(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => !line.includes(`"msg":"${keptOutput}"`) && !line.includes(`: ${keptOutput} `));
}

function lines(values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join('');
}
