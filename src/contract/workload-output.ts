/** What every launch, control and remove answers, from every adapter. */
import { type Static, type TSchema, Type } from 'typebox';
import { bounds } from './bounds.ts';
import { ServiceName } from './compose-document.ts';
import { Failure } from './failures.ts';
import { LiveTopology } from './stack-topology.ts';
import { WorkloadState } from './workload-state.ts';

export const Endpoint = Type.Object(
  {
    name: Type.String({ description: 'Name of the declared port.' }),
    protocol: Type.Enum(['http', 'tcp'], { description: 'What is spoken there.' }),
    host: Type.Literal('127.0.0.1', { description: 'Always the loopback address of the host.' }),
    port: Type.Integer({ description: 'Port on that address.' }),
    url: Type.Union([Type.String(), Type.Null()], {
      description: 'URL on the host, for http endpoints. Never with a token.',
    }),
    exposure_mode: Type.Literal('private', { description: 'Reachable from the host itself only.' }),
  },
  { additionalProperties: false, description: 'Where the workload answers.' },
);
export type Endpoint = Static<typeof Endpoint>;

const Reference = Type.Object(
  {
    name: Type.String({ description: 'What the reference is for, for example `container`.' }),
    ref: Type.String({ description: 'Opaque reference that the agent resolves later, for example `instance:<id>`.' }),
  },
  { additionalProperties: false, description: 'A stream or series that can be asked for.' },
);

export const WorkloadEvent = Type.Object(
  {
    time: Type.String({ description: "RFC 3339 time; the engine's own where the engine reported it." }),
    type: Type.String({
      description: 'Dotted name, for example `phase.entered`, `image.progress`, `container.exited`.',
    }),
    phase: Type.Union([WorkloadState, Type.Null()], { description: 'Phase the task was in.' }),
    message: Type.String({ maxLength: bounds.message * 2, description: 'One sentence for a person.' }),
    values: Type.Record(Type.String(), Type.Unknown(), {
      description: 'Facts of the event, cut where they are long. Never a secret.',
    }),
  },
  { additionalProperties: false, description: 'Something that happened on the way.' },
);
export type WorkloadEvent = Static<typeof WorkloadEvent>;

const lines = (options: { description: string }) =>
  Type.Array(Type.String({ maxLength: bounds.line * 2 }), { maxItems: bounds.lines, ...options });

export const Cleanup = Type.Object(
  {
    removed: lines({
      description: 'What is gone: `container gpuaas-x`, `network gpuaas-x`, `folder …`.',
    }),
    kept: lines({ description: 'What is there still, on purpose, in the same words.' }),
    failed: lines({ description: 'What should be gone and is not, with the reason.' }),
  },
  { additionalProperties: false, description: 'Result of a clean-up.' },
);
export type Cleanup = Static<typeof Cleanup>;

const word = Type.String({ maxLength: bounds.word * 2 });

const containerStatus = {
  container_id: Type.Union([word, Type.Null()], {
    description: "The engine's id; null when there is none.",
  }),
  container_name: Type.String({ description: 'Name on the engine.' }),
  container_state: Type.Union([word, Type.Null()], {
    description: "The engine's word: created, running, exited, …",
  }),
  health: Type.Union([word, Type.Null()], {
    description: 'What the health check says: starting, healthy, unhealthy; null where there is none.',
  }),
  exit_code: Type.Union([Type.Integer(), Type.Null()], {
    description: 'Exit code of the last run; null while it runs.',
  }),
  oom_killed: Type.Boolean({ description: 'True if the kernel ended the last run for its memory.' }),
  restart_count: Type.Integer({ description: 'Starts after the first.' }),
  image_digest: Type.Union([word, Type.Null()], {
    description: 'Digest that runs, verified after the pull.',
  }),
  image_id: Type.Union([word, Type.Null()], { description: "The engine's image id." }),
  gpus: Type.Array(word, { maxItems: 64, description: 'UUIDs of the cards that it holds.' }),
};
const adopted = Type.Boolean({ description: 'True if an earlier run of the same task had made it.' });

export const OciAdapterStatus = Type.Object(
  {
    kind: Type.Literal('oci_container', { description: 'Which adapter this status is from.' }),
    ...containerStatus,
    adopted,
    packages_excerpt: Type.Union([Type.String({ maxLength: bounds.fact * 2 }), Type.Null()], {
      description: 'Bounded tail of the package installation; null if none ran.',
    }),
  },
  { additionalProperties: false, description: 'What only this adapter knows.' },
);
export type OciAdapterStatus = Static<typeof OciAdapterStatus>;

export const ServiceStatus = Type.Object(
  { service: ServiceName, ...containerStatus },
  { additionalProperties: false, description: 'The container of one service.' },
);
export type ServiceStatus = Static<typeof ServiceStatus>;

export const ComposeAdapterStatus = Type.Object(
  {
    kind: Type.Literal('compose_stack', { description: 'Which adapter this status is from.' }),
    project: Type.String({ description: 'Name of the compose project.' }),
    compose_version: Type.Union([word, Type.Null()], {
      description: 'Version of Compose; null where it was not asked.',
    }),
    adopted,
    services: Type.Array(ServiceStatus, {
      maxItems: 16,
      description: 'One entry a service, in the order of the topology.',
    }),
  },
  { additionalProperties: false, description: 'What only this adapter knows.' },
);
export type ComposeAdapterStatus = Static<typeof ComposeAdapterStatus>;

/** What every adapter answers; `topology` and `adapter` are its own. */
function outputOf<const T extends TSchema, const A extends TSchema>(topology: T, adapter: A) {
  return Type.Object(
    {
      state: WorkloadState,
      summary: Type.String({ description: 'One sentence for a person.' }),
      endpoints: Type.Array(Endpoint, { description: 'Declared endpoints and where they are.' }),
      logs: Type.Array(Reference, { description: 'Log streams that can be opened.' }),
      metrics: Type.Array(Reference, { description: 'Metric series that can be read.' }),
      events: Type.Array(WorkloadEvent, { description: 'What happened during the task, oldest first, bounded.' }),
      failure: Type.Union([Failure, Type.Null()], { description: 'Why the workload is not as asked; null if it is.' }),
      cleanup: Type.Union([Cleanup, Type.Null()], {
        description: 'What was removed, kept and could not be removed; null if nothing was to be.',
      }),
      topology,
      adapter,
    },
    { additionalProperties: false, description: 'State of the workload after the task.' },
  );
}

export const WorkloadOutput = outputOf(
  Type.Null({ description: 'Services of a stack; null for a single container.' }),
  OciAdapterStatus,
);
export type WorkloadOutput = Static<typeof WorkloadOutput>;

export const StackOutput = outputOf(LiveTopology, ComposeAdapterStatus);
export type StackOutput = Static<typeof StackOutput>;
