/**
 * What the agent reports, in order, until it is acknowledged. Each record has a sequence number of its journal; a rebuilt
 * journal has another id and begins anew, so the control plane can always tell a repetition from something new.
 */
import { type Static, Type } from 'typebox';
import { ServiceName } from './compose-document.ts';
import { Failure } from './failures.ts';
import { GpuUuid } from './gpus.ts';
import { HostHealth } from './host-health.ts';
import { identifierPattern } from './identifiers.ts';
import { jobProgress } from './job-output.ts';
import { maxReceiptLength } from './job-receipt.ts';
import { JobReport } from './job-report.ts';
import { KeptItem, maxKeptItems } from './kept-items.ts';
import { TaskResult } from './task-envelope.ts';
import { WorkloadOciRuntimeStatusOutput } from './workload-oci-runtime-status.ts';
import { Endpoint, WorkloadEvent } from './workload-output.ts';
import { WorkloadState } from './workload-state.ts';

const closed = { additionalProperties: false } as const;
const workloadId = Type.String({
  pattern: identifierPattern,
  description: 'The workload: an app_instance_id or a job_id.',
});
const time = (description: string) => Type.String({ maxLength: 40, description: `${description} RFC 3339 in UTC.` });

export const TaskResultBody = Type.Object(
  {
    workload_id: workloadId,
    type: Type.String({ maxLength: 128, description: 'Task type.' }),
    fencing: Type.Integer({ minimum: 0, description: 'Fencing of the task.' }),
    result: TaskResult,
  },
  { ...closed, description: 'How a task ended. Exactly one per task, however often the task was delivered.' },
);

export const TaskProgressBody = Type.Object(
  {
    workload_id: workloadId,
    task_id: Type.String({ pattern: identifierPattern, description: 'The task that is at work.' }),
    event: WorkloadEvent,
  },
  { ...closed, description: 'Something that happened while a task was at work. May be thinned.' },
);

export const EventBody = Type.Object(
  {
    workload_id: Type.Union([workloadId, Type.Null()], { description: 'Whom it is about; null for the host.' }),
    source: Type.Enum(['engine', 'supervisor', 'agent', 'gate', 'host'], { description: 'Who noticed it.' }),
    event: WorkloadEvent,
    /** What the workload is after it; null where that did not change. */
    state: Type.Union([WorkloadState, Type.Null()], {
      description: 'State of the workload after the event; null where it did not change.',
    }),
    failure: Type.Union([Failure, Type.Null()], { description: 'Why the workload is not as asked; null if it is.' }),
  },
  { ...closed, description: 'Something that happened outside of a task. Never thinned.' },
);

const ServiceFacts = Type.Object(
  {
    service: ServiceName,
    state: WorkloadState,
    restarts: Type.Integer({ minimum: 0, description: 'Restarts by the agent since the launch.' }),
    since: time('Since when it is in this state.'),
  },
  { ...closed, description: 'One service of a stack.' },
);

export const WorkloadFacts = Type.Object(
  {
    workload_id: workloadId,
    project_id: Type.String({ pattern: identifierPattern, description: 'Project that owns it.' }),
    allocation_id: Type.String({ pattern: identifierPattern, description: 'Allocation it belongs to.' }),
    fencing: Type.Integer({ minimum: 0, description: 'Highest fencing seen for it.' }),
    state: WorkloadState,
    endpoints: Type.Array(Endpoint, { description: 'Where it answers.' }),
    restarts: Type.Integer({ minimum: 0, description: 'Restarts by the agent since the launch.' }),
    since: time('Since when it is in this state.'),
    services: Type.Optional(
      Type.Array(ServiceFacts, { maxItems: 16, description: 'Services of a stack; absent for a single container.' }),
    ),
    gpus: Type.Optional(Type.Array(GpuUuid, { maxItems: 64, description: 'Cards that it holds; absent for none.' })),
  },
  { ...closed, description: 'One workload on the host.' },
);

export const TopologyBody = Type.Object(
  {
    at: time('When the host was looked at.'),
    workloads: Type.Array(WorkloadFacts, { description: 'All workloads of ours on the host.' }),
  },
  { ...closed, description: 'What is on the host, whole: replaces what was reported before.' },
);

const use = {
  cpu_seconds: Type.Number({ minimum: 0, description: 'CPU time used since it started, in seconds.' }),
  cpu_cores: Type.Number({ minimum: 0, description: 'CPU in use over the last interval, in cores.' }),
  memory_bytes: Type.Number({ minimum: 0, description: 'Memory in use, page cache left out.' }),
  memory_limit_bytes: Type.Number({ minimum: 0, description: 'Memory it may use.' }),
  network_received_bytes: Type.Number({ minimum: 0, description: 'Bytes received since it started.' }),
  network_sent_bytes: Type.Number({ minimum: 0, description: 'Bytes sent since it started.' }),
  pids: Type.Integer({ minimum: 0, description: 'Processes and threads.' }),
};

export const WorkloadSample = Type.Object(
  {
    workload_id: workloadId,
    ...use,
    services: Type.Optional(
      Type.Array(
        Type.Object({ service: ServiceName, ...use }, { ...closed, description: 'One sample of one service.' }),
        {
          maxItems: 16,
          description: 'Running services of a stack, whose sum is above; absent for a single container.',
        },
      ),
    ),
  },
  { ...closed, description: 'One sample of one workload.' },
);

const maybe = (minimum: number, description: string) =>
  Type.Union([Type.Number({ minimum }), Type.Null()], {
    description: `${description} Null where the card does not tell.`,
  });

export const GpuSample = Type.Object(
  {
    uuid: GpuUuid,
    workload_id: Type.Union([workloadId, Type.Null()], { description: 'Who holds it; null for a free card.' }),
    utilization_percent: maybe(0, 'Share of the last moments in which the card was at work, 0 to 100.'),
    memory_used_mib: maybe(0, 'Memory in use, in MiB.'),
    memory_total_mib: maybe(0, 'Memory of the card, in MiB.'),
    temperature_celsius: maybe(-100, 'Temperature.'),
    power_watts: maybe(0, 'Power drawn.'),
  },
  { ...closed, description: 'One sample of one card.' },
);

export const MetricsBody = Type.Object(
  {
    at: time('When it was sampled.'),
    interval_seconds: Type.Number({ minimum: 0, description: 'Seconds since the sample before.' }),
    host: Type.Object(
      {
        cpu_cores_used: Type.Number({ minimum: 0, description: 'CPU in use over the last interval, in cores.' }),
        memory_used_bytes: Type.Number({ minimum: 0, description: 'Memory in use, page cache left out.' }),
        memory_total_bytes: Type.Number({ minimum: 0, description: 'Memory of the host.' }),
        disk_free_bytes: Type.Number({ minimum: 0, description: 'Free bytes where the engine keeps its data.' }),
        disk_total_bytes: Type.Number({ minimum: 0, description: "Size of the file system of the engine's data." }),
      },
      { ...closed, description: 'The host itself.' },
    ),
    workloads: Type.Array(WorkloadSample, { description: 'Running workloads only.' }),
    gpus: Type.Optional(Type.Array(GpuSample, { maxItems: 128, description: 'Cards that answered; absent for none.' })),
  },
  { ...closed, description: 'One sample of everything. May be thinned.' },
);

export const InventoryBody = Type.Object(
  {
    at: time('When the host was looked at.'),
    agent_version: Type.String({ maxLength: 64, description: 'Version of the agent.' }),
    hostname: Type.String({ maxLength: 253, description: 'Name that the host gives itself.' }),
    os: Type.String({ maxLength: 128, description: 'Operating system.' }),
    kernel: Type.String({ maxLength: 128, description: 'Version of the kernel.' }),
    arch: Type.String({ maxLength: 32, description: 'x64 or arm64.' }),
    ssh_user: Type.Union([Type.String({ maxLength: 64 }), Type.Null()], {
      description: "Name of the allocation's user, for the tunnel command; null where it has no name.",
    }),
    draining: Type.Boolean({ description: 'True if the agent takes no new work.' }),
    runtime: WorkloadOciRuntimeStatusOutput,
    health: Type.Optional(HostHealth),
    kept: Type.Optional(
      Type.Array(KeptItem, {
        maxItems: maxKeptItems,
        description:
          'What is kept for later jobs, the most recently used first; absent where the engine could not say.',
      }),
    ),
  },
  { ...closed, description: 'What the host is and has; sent when it changes.' },
);

export const JobReportBody = Type.Object(
  {
    workload_id: Type.String({ pattern: identifierPattern, description: 'The job: a job_id.' }),
    task_id: Type.String({ pattern: identifierPattern, description: 'The launch that carries it out.' }),
    report: JobReport,
    ...jobProgress,
    receipt: Type.Optional(
      Type.String({
        maxLength: maxReceiptLength,
        description:
          'Receipt that the node has signed, as a compact JWS; absent before its end is final, and without a node key.',
      }),
    ),
  },
  { ...closed, description: 'How a job stands, whole: replaces what was reported of it before.' },
);

/** Kinds of record with the schema of each body. */
export const recordBodies = {
  'task.result': TaskResultBody,
  'task.progress': TaskProgressBody,
  event: EventBody,
  topology: TopologyBody,
  metrics: MetricsBody,
  inventory: InventoryBody,
  'job.report': JobReportBody,
} as const;

export type RecordKind = keyof typeof recordBodies;
export type RecordBody<K extends RecordKind> = Static<(typeof recordBodies)[K]>;
export const recordKinds = Object.keys(recordBodies) as RecordKind[];

/** What may be dropped, oldest first, when too much waits to be acknowledged. Results and events never are. */
export const thinnable: ReadonlySet<RecordKind> = new Set(['task.progress', 'metrics']);
/** Of these, only the newest that waits is worth keeping: of the host, or of each workload that it is about. */
export const latestOnly: ReadonlySet<RecordKind> = new Set(['topology', 'inventory', 'job.report']);
