/** A workload that runs, ran or shall run: what was asked for, what is, and what it costs whom. */
import { type Static, Type } from 'typebox';
import { Failure } from '../../../contract/failures.ts';
import { identifierPattern } from '../../../contract/identifiers.ts';
import { instanceStates } from '../../../contract/instance-state.ts';
import { Resources } from '../../../contract/workload-oci-launch.ts';
import { Cleanup, Endpoint, OciAdapterStatus, ServiceStatus } from '../../../contract/workload-output.ts';
import { WorkloadState } from '../../../contract/workload-state.ts';
import { variableName } from '../../../manifests/gpuaas/profile-fields.ts';
import { Digest } from './artifact.ts';
import { closed, id, nullable, text, time } from './fields.ts';

const InstanceState = Type.Enum(instanceStates, {
  description: 'State of the instance; the drawing is in docs/control-plane.md.',
});

const Member = Type.Object(
  {
    name: text(64, 'Name of the member: `main` for a single container, of its service for one of a stack.'),
    node_id: id('Node that it is placed on.'),
    state: { ...WorkloadState, description: 'Its state, as the adapter reports it.' },
    health: nullable(text(32, 'Health.'), 'Health, as the adapter reports it; null where it reports none.'),
    endpoints: Type.Array(Endpoint, { description: 'Where it answers.' }),
    restarts: Type.Integer({ minimum: 0, description: 'Restarts since the launch.' }),
    status: Type.Union([OciAdapterStatus, ServiceStatus, Type.Null()], {
      description: 'What only the adapter knows; null before its first report.',
    }),
    reported_at: nullable(time('When.'), 'When the adapter last reported; null before that.'),
  },
  { ...closed, description: 'One container of the instance. Only the adapter writes it.' },
);

const StateChange = Type.Object(
  {
    state: InstanceState,
    at: time('Since when.'),
    reason: text(500, 'Why, in one sentence.'),
  },
  { ...closed, description: 'A state it was in.' },
);

const RunPeriod = Type.Object(
  {
    started_at: time('From.'),
    stopped_at: nullable(time('To.'), 'To; null while it runs.'),
    gpus: Type.Optional(
      Type.Array(text(128, 'UUID.'), { maxItems: 64, description: 'Cards that it ran on; absent for none.' }),
    ),
  },
  { ...closed, description: 'A time in which it ran.' },
);

const Billing = Type.Object(
  {
    project_id: id('Who pays.'),
    allocation_id: id('For which allocation.'),
    gpu_count: Type.Integer({ minimum: 0, description: 'Cards it holds while it runs.' }),
    periods: Type.Array(RunPeriod, { description: 'When it ran, oldest first: the last 1000 times.' }),
    earlier_seconds: Type.Optional(
      Type.Number({
        minimum: 0,
        description: 'How long it ran before these, in seconds; left out where they are all.',
      }),
    ),
  },
  { ...closed, description: 'Attribution of what it used.' },
);

export const AppInstance = Type.Object(
  {
    id: id('The instance.'),
    project_id: id('Project that owns it.'),
    allocation_id: id('Allocation it runs on.'),
    node_id: nullable(id('The node.'), 'Node that it was placed on; null before that.'),
    app_slug: id('App.'),
    app_version: text(64, 'Version of the app.'),
    display_name: text(128, 'Name for people.'),
    artifact_id: id('Image it was launched from.'),
    image: text(600, 'Repository and digest that were rendered.'),
    image_digest: Digest,
    engine: text(64, 'Execution engine, for example `node_agent`.'),
    config: Type.Record(Type.String(), Type.Unknown(), { description: 'Effective values of its parameters.' }),
    resources: { ...Resources, description: 'What it may use.' },
    host_ports: Type.Record(
      Type.String({ pattern: identifierPattern }),
      Type.Integer({ minimum: 1024, maximum: 65535 }),
      {
        additionalProperties: false,
        description: 'Port on the host of each endpoint, by name.',
      },
    ),
    sealed_files: Type.Record(Type.String({ pattern: '^/run/secrets/' }), Type.String({ maxLength: 65536 }), {
      additionalProperties: false,
      description: 'Secrets of the instance, sealed for its node: nobody else can open them.',
    }),
    sealed_env: Type.Optional(
      Type.Record(Type.String({ pattern: variableName }), Type.String({ maxLength: 65536 }), {
        additionalProperties: false,
        description: 'The same, by variable, for apps that cannot read a file; absent on instances of before.',
      }),
    ),
    state: InstanceState,
    state_since: time('Since when it is in this state.'),
    desired: Type.Enum(['running', 'stopped', 'decommissioned'], { description: 'What was last asked for.' }),
    failure: nullable(Failure, 'Why it is not as asked; null if it is, or may become so.'),
    summary: text(500, 'One sentence on how it is.'),
    members: Type.Array(Member, { description: 'Its containers.' }),
    endpoints: Type.Array(Endpoint, { description: 'Where it answers, declared endpoints only.' }),
    cleanup: nullable(Cleanup, 'What its removal took away, left and failed at; null before that.'),
    history: Type.Array(StateChange, { maxItems: 200, description: 'Last states, oldest first.' }),
    current_task_id: nullable(id('The task.'), 'Task that was last queued for it; null before the first.'),
    billing: Billing,
    access_credential_id: Type.Optional(id('Credential of the project that it was given; absent for none.')),
    service_account_id: Type.Optional(id('Account that it acts as; absent for none.')),
    service_token_id: Type.Optional(id('Token that it has of that account, until it is decommissioned.')),
    created_at: time('When it was accepted.'),
    created_by: id('API token that asked for it.'),
    updated_at: time('When it last changed.'),
    trace_id: text(64, 'Follows the newest thing that was asked for it, the launch or an action, through all parts.'),
  },
  { ...closed, description: 'An app instance.' },
);
export type AppInstance = Static<typeof AppInstance>;
