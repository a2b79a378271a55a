/** What the daemon tells of itself and its host beside the tasks: samples, topology, inventory, metrics and health. */

import { containerName } from '../contract/names.ts';
import type { WorkloadState } from '../contract/workload-state.ts';
import { GpuUseReader } from '../host/gpu-use.ts';
import { readHostUse } from '../host/use.ts';
import type { JobMeans } from '../jobs/job-means.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import type { ContainerEngine } from '../runtime/engine.ts';
import type { Patience } from '../runtime/patient-engine.ts';
import type { StackRunner } from '../runtime/stacks.ts';
import type { Admission } from '../tasks/admission.ts';
import type { GpuLedger } from '../tasks/gpu-ledger.ts';
import { runtimeStatus } from '../tasks/workload-oci-runtime-status.ts';
import type { AgentConfig } from './config.ts';
import type { DrainState } from './drain-state.ts';
import type { GpuHealth } from './gpus/gpu-health.ts';
import type { HostDoctor } from './host-doctor.ts';
import type { Journal } from './journal/journal.ts';
import type { KeptForLater } from './kept-for-later.ts';
import type { AgentStatus } from './local-api/agent-status.ts';
import type { LogStreams } from './logs/log-streams.ts';
import { graceMs } from './supervision/engine-watch.ts';
import type { Supervisor } from './supervision/supervisor.ts';
import { agentFamilies, type TaskCounts } from './telemetry/agent-metrics.ts';
import { serveEndpoint } from './telemetry/endpoint.ts';
import { InventoryReporter } from './telemetry/inventory.ts';
import type { GpuSample, Measured } from './telemetry/sample.ts';
import { Sampler } from './telemetry/sampler.ts';
import { TopologyReporter } from './telemetry/topology.ts';

export interface ReportParts {
  readonly config: AgentConfig;
  readonly policy: HostPolicy;
  readonly version: string;
  readonly engine: ContainerEngine;
  readonly stacks: StackRunner;
  readonly admission: Admission;
  readonly gpus: GpuLedger;
  readonly health: Pick<GpuHealth, 'cards'>;
  readonly doctor: Pick<HostDoctor, 'glance'>;
  readonly journal: Journal;
  readonly kept: Pick<KeptForLater, 'items'>;
  readonly jobs: Pick<JobMeans, 'room'>;
  readonly supervisor: Supervisor;
  readonly drain: DrainState;
  readonly streams: LogStreams;
  readonly counts: TaskCounts;
  readonly clock: Clock;
  readonly log: Log;
  readonly status: () => AgentStatus;
  /** Where the engine keeps its data, as far as is known. */
  readonly engineData: () => string;
}

/** An engine that is not back by then is away for supervision too, which has the host looked at again when it is back. */
const patience: Patience = { patienceMs: 2 * graceMs, backoff: { firstMs: 100, maxMs: 1000, factor: 2 } };

export interface Reports {
  /** Call it when a workload may have changed. */
  workloadsChanged(): void;
  /** Call it when what the host offers may have changed. */
  hostChanged(): void;
  /** Tells everything anew: for a control plane that has just been connected to. */
  reportAll(): void;
  close(): void;
}

export async function startReports(parts: ReportParts): Promise<Reports> {
  const { config, policy, engine, stacks, jobs, journal, supervisor, clock, log } = parts;
  const stop = new AbortController();
  const cardUse = new GpuUseReader(hostPath());
  const sampler = new Sampler({
    ...{ engine, clock, log, intervalMs: config.telemetry.interval_seconds * 1000 },
    running: () => runningContainers(supervisor),
    readHost: () => readHostUse(parts.engineData()),
    readGpus: (signal) => readCards(parts, cardUse, signal),
    record: (body) => journal.append('metrics', body),
  });
  const topology = new TopologyReporter({
    ...{ clock, workloads: () => supervisor.workloads() },
    record: (body) => journal.append('topology', body),
  });
  const inventory = new InventoryReporter({
    ...{ clock, log, agentVersion: parts.version },
    sshUser: typeof config.allocation.user === 'string' ? config.allocation.user : null,
    draining: () => parts.drain.current !== null,
    probe: (signal, isPatient) => {
      const sources = { ...hostPath(), ...(isPatient ? { patience } : {}) };
      const asked = { engine, stacks, policy, jobs, admission: parts.admission, gpus: parts.gpus, log, signal };
      return runtimeStatus(asked, sources);
    },
    health: (signal) => parts.doctor.glance(signal),
    kept: () => parts.kept.items({ measure: false }),
    record: (body) => journal.append('inventory', body),
  });
  const endpoint =
    config.telemetry.port === 0 ? undefined : await serveEndpoint({ ...endpointOf(parts, sampler), log });
  const look = () => void inventory.look(stop.signal).catch((err: unknown) => log.warn({ err }, 'no inventory'));

  void inventory.run(stop.signal);
  sampler.wake();
  return {
    workloadsChanged: () => {
      topology.changed();
      sampler.wake();
    },
    hostChanged: look,
    reportAll: () => topology.report(),
    close: () => {
      stop.abort();
      sampler.stop();
      topology.stop();
      endpoint?.close();
    },
  };
}

function endpointOf({ config, status, counts, streams, health }: ReportParts, sampler: Sampler) {
  return {
    ...{ port: config.telemetry.port, status },
    families: () => {
      const [sample, logs, cards] = [sampler.latest, streams.counts(), health.cards()];
      return agentFamilies({ status: status(), sample, tasks: counts, logs, cards });
    },
  };
}

/** Of a stack its services that run; one that is away or done is not asked for. */
function runningContainers(supervisor: Supervisor): Measured[] {
  return supervisor.workloads().flatMap(({ workload_id, state, services }): Measured[] => {
    if (services) {
      const up = services.filter((each) => isUp(each.state));
      return up.map(({ service }) => ({ workload_id, service, container: containerName(workload_id, service) }));
    }
    return isUp(state) ? [{ workload_id, service: null, container: containerName(workload_id) }] : [];
  });
}

/** All cards, while a workload that holds one runs; else nobody is asked. */
async function readCards(
  { supervisor, gpus, health }: ReportParts,
  use: GpuUseReader,
  signal: AbortSignal,
): Promise<GpuSample[]> {
  const holders = gpus.holders();
  const running = new Set(runningContainers(supervisor).map(({ workload_id }) => workload_id));
  const isInUse = [...holders.values()].some((id) => running.has(id));
  const uses = isInUse ? await use.read(health.cards(), signal) : [];
  return uses.map((each) => ({ ...each, workload_id: holders.get(each.uuid) ?? null }));
}

function isUp(state: WorkloadState): boolean {
  return state === 'running' || state === 'degraded';
}

function hostPath() {
  return { path: process.env['PATH'] };
}
