/** Metrics of the agent, made at the moment somebody asks: nothing is counted up in the background but what ended. */

import type { Gpu } from '../../contract/gpus.ts';
import type { TaskResult } from '../../contract/task-envelope.ts';
import type { AgentStatus } from '../local-api/agent-status.ts';
import type { LogCounts } from '../logs/log-streams.ts';
import type { Family, Sample } from './exposition.ts';
import type { GpuSample, MetricsBody } from './sample.ts';

/** Tasks that have ended since the agent started. */
export class TaskCounts {
  readonly #ended = new Map<string, { type: string; status: string; count: number; seconds: number }>();

  ended(type: string, { status, started_at, finished_at }: TaskResult): void {
    const key = `${type} ${status}`;
    const known = this.#ended.get(key) ?? { type, status, count: 0, seconds: 0 };
    const seconds = Math.max(0, Date.parse(finished_at) - Date.parse(started_at)) / 1000;
    this.#ended.set(key, { ...known, count: known.count + 1, seconds: known.seconds + seconds });
  }

  families(): Family[] {
    const all = [...this.#ended.values()];
    const of = (pick: (each: (typeof all)[number]) => number) =>
      all.map((each) => ({ labels: { type: each.type, status: each.status }, value: pick(each) }));
    return [
      counter(
        'gpuaas_agent_tasks_total',
        'Tasks that ended, by type and status.',
        of(({ count }) => count),
      ),
      counter(
        'gpuaas_agent_task_seconds_total',
        'Time that ended tasks took.',
        of(({ seconds }) => seconds),
      ),
    ];
  }
}

export interface MetricSources {
  readonly status: AgentStatus;
  readonly sample: MetricsBody | undefined;
  readonly tasks: TaskCounts;
  readonly logs: LogCounts;
  /** As they are known, whether or not anything runs. */
  readonly cards: readonly Gpu[];
}

export function agentFamilies({ status, sample, tasks, logs, cards }: MetricSources): Family[] {
  const { session, engine, journal } = status;
  return [
    gauge('gpuaas_agent_info', 'Who this agent is.', one(1, { version: status.version, node: status.node_id })),
    gauge('gpuaas_agent_session_connected', '1 while there is a session.', flag(session.state === 'connected')),
    counter('gpuaas_agent_session_connects_total', 'Sessions since the start.', one(session.connects)),
    counter('gpuaas_agent_protocol_errors_total', 'Messages nobody understood.', one(session.protocol_errors)),
    gauge('gpuaas_agent_engine_ready', '1 while the engine answers.', flag(engine.state === 'ready')),
    gauge('gpuaas_agent_draining', '1 while no new work is taken.', flag(status.draining)),
    gauge('gpuaas_agent_journal_ok', '1 while the journal can be written.', flag(journal.failure === null)),
    gauge('gpuaas_agent_outbox_records', 'Records that wait for the control plane.', one(journal.outbox)),
    gauge('gpuaas_agent_tasks_running', 'Tasks at work.', one(status.tasks.running)),
    gauge('gpuaas_agent_tasks_waiting', 'Tasks that wait for their turn.', one(status.tasks.waiting)),
    ...tasks.families(),
    gauge('gpuaas_agent_log_streams', 'Log streams that are open.', one(logs.open)),
    counter('gpuaas_agent_log_entries_total', 'Log entries that were sent.', one(logs.entries)),
    counter('gpuaas_agent_log_gaps_total', 'Gaps that readers were told of.', one(logs.gaps)),
    ...workloadFamilies(status, sample?.workloads ?? []),
    gauge(
      'gpuaas_gpu_healthy',
      '0 while the card is quarantined, else 1.',
      cards.map(({ uuid, health }) => ({ labels: { uuid }, value: health === 'healthy' ? 1 : 0 })),
    ),
    ...gpuFamilies(sample?.gpus ?? []),
    ...(sample ? hostFamilies(sample.host) : []),
    ...processFamilies(),
  ];
}

/** Of a stack each service, told apart by its label: their sum is for whoever asks. */
function workloadFamilies({ workloads }: AgentStatus, samples: MetricsBody['workloads']): Family[] {
  const of = (pick: (sample: Omit<MetricsBody['workloads'][number], 'workload_id'>) => number): Sample[] =>
    samples.flatMap(({ workload_id, services, ...whole }) =>
      services
        ? services.map((each) => ({ labels: { workload: workload_id, service: each.service }, value: pick(each) }))
        : [{ labels: { workload: workload_id }, value: pick(whole) }],
    );
  const states = workloads.flatMap(({ workload_id, services = [] }) =>
    services.map(({ service, state, restarts }) => ({ labels: { workload: workload_id, service }, state, restarts })),
  );
  return [
    gauge(
      'gpuaas_workload_state',
      '1 for the state that the workload is in.',
      workloads.map(({ workload_id, state }) => ({ labels: { workload: workload_id, state }, value: 1 })),
    ),
    gauge(
      'gpuaas_service_state',
      '1 for the state that the service of a stack is in.',
      states.map(({ labels, state }) => ({ labels: { ...labels, state }, value: 1 })),
    ),
    counter(
      'gpuaas_service_restarts_total',
      'Restarts of the service by the agent since the launch.',
      states.map(({ labels, restarts }) => ({ labels, value: restarts })),
    ),
    counter(
      'gpuaas_workload_restarts_total',
      'Restarts by the agent since the launch.',
      workloads.map(({ workload_id, restarts }) => ({ labels: { workload: workload_id }, value: restarts })),
    ),
    counter(
      'gpuaas_workload_cpu_seconds_total',
      'CPU time since it started.',
      of((each) => each.cpu_seconds),
    ),
    gauge(
      'gpuaas_workload_memory_bytes',
      'Memory in use, page cache left out.',
      of((each) => each.memory_bytes),
    ),
    gauge(
      'gpuaas_workload_memory_limit_bytes',
      'Memory it may use.',
      of((each) => each.memory_limit_bytes),
    ),
    counter(
      'gpuaas_workload_received_bytes_total',
      'Bytes received.',
      of((each) => each.network_received_bytes),
    ),
    counter(
      'gpuaas_workload_sent_bytes_total',
      'Bytes sent.',
      of((each) => each.network_sent_bytes),
    ),
    gauge(
      'gpuaas_workload_pids',
      'Processes and threads.',
      of((each) => each.pids),
    ),
  ];
}

/** Of each card what it tells; a free one has no workload. */
function gpuFamilies(samples: readonly GpuSample[]): Family[] {
  const of = (pick: (sample: GpuSample) => number | null): Sample[] =>
    samples.flatMap((sample) => {
      const value = pick(sample);
      const labels = { uuid: sample.uuid, ...(sample.workload_id === null ? {} : { workload: sample.workload_id }) };
      return value === null ? [] : [{ labels, value }];
    });
  const mib = (value: number | null) => (value === null ? null : value * 2 ** 20);
  return [
    gauge(
      'gpuaas_gpu_utilization_ratio',
      'Share of the last moments in which the card was at work, 0 to 1.',
      of(({ utilization_percent: percent }) => (percent === null ? null : percent / 100)),
    ),
    gauge(
      'gpuaas_gpu_memory_used_bytes',
      'Memory of the card in use.',
      of(({ memory_used_mib }) => mib(memory_used_mib)),
    ),
    gauge(
      'gpuaas_gpu_memory_bytes',
      'Memory of the card.',
      of(({ memory_total_mib }) => mib(memory_total_mib)),
    ),
    gauge(
      'gpuaas_gpu_temperature_celsius',
      'Temperature of the card.',
      of((each) => each.temperature_celsius),
    ),
    gauge(
      'gpuaas_gpu_power_watts',
      'Power that the card draws.',
      of((each) => each.power_watts),
    ),
  ];
}

function hostFamilies(host: MetricsBody['host']): Family[] {
  return [
    gauge('gpuaas_host_cpu_cores_used', 'CPU in use, in cores.', one(host.cpu_cores_used)),
    gauge('gpuaas_host_memory_used_bytes', 'Memory in use, page cache left out.', one(host.memory_used_bytes)),
    gauge('gpuaas_host_memory_bytes', 'Memory of the host.', one(host.memory_total_bytes)),
    gauge('gpuaas_host_disk_free_bytes', "Free on the engine's disk.", one(host.disk_free_bytes)),
    gauge('gpuaas_host_disk_bytes', "Size of the engine's disk.", one(host.disk_total_bytes)),
  ];
}

function processFamilies(): Family[] {
  const { user, system } = process.cpuUsage();
  return [
    counter('process_cpu_seconds_total', 'CPU time of the agent.', one((user + system) / 1e6)),
    gauge('process_resident_memory_bytes', 'Resident memory of the agent.', one(process.memoryUsage.rss())),
    gauge('process_start_time_seconds', 'When the agent started.', one(Date.now() / 1000 - process.uptime())),
  ];
}

function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, samples, type: 'gauge' };
}

function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, samples, type: 'counter' };
}

function one(value: number, labels: Readonly<Record<string, string>> = {}): Sample[] {
  return [{ labels, value }];
}

function flag(on: boolean): Sample[] {
  return one(on ? 1 : 0);
}
