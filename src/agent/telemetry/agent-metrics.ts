/** Metrics of the agent, made at the moment somebody asks: nothing is counted up in the background but what ended. */

import type { Static } from 'typebox';
import type { WorkloadSample } from '../../contract/records.ts';
import type { TaskResult } from '../../contract/task-envelope.ts';
import type { AgentStatus } from '../local-api/agent-status.ts';
import type { LogCounts } from '../logs/log-streams.ts';
import type { Family, Sample } from './exposition.ts';
import type { MetricsBody } from './sample.ts';

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
}

export function agentFamilies({ status, sample, tasks, logs }: MetricSources): Family[] {
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
    ...(sample ? hostFamilies(sample.host) : []),
    ...processFamilies(),
  ];
}

function workloadFamilies({ workloads }: AgentStatus, samples: readonly Static<typeof WorkloadSample>[]): Family[] {
  const of = (pick: (sample: (typeof samples)[number]) => number): Sample[] =>
    samples.map((sample) => ({ labels: { workload: sample.workload_id }, value: pick(sample) }));
  return [
    gauge(
      'gpuaas_workload_state',
      '1 for the state that the workload is in.',
      workloads.map(({ workload_id, state }) => ({ labels: { workload: workload_id, state }, value: 1 })),
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
