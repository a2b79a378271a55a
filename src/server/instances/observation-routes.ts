/** `/api/v1/app-instances/{id}/logs|metrics|topology`: looking into what runs. */
import { Type } from 'typebox';
import { ServiceName } from '../../contract/compose-document.ts';
import { identifierPattern } from '../../contract/identifiers.ts';
import { GpuSample, WorkloadSample } from '../../contract/records.ts';
import { type LogSource, StreamedEntry } from '../../contract/session-messages.ts';
import type { Clock } from '../../kit/clock.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Store } from '../db/store.ts';
import { everybody, found } from '../http/access.ts';
import { pathOf } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';
import type { LogPart, LogRequest } from '../hub/log-relay.ts';
import { profileOf } from '../launch/load-facts.ts';
import { followLog } from './follow-log.ts';
import { visibleInstance } from './instance-routes.ts';
import { InstanceTopology, topologyOf } from './instance-topology.ts';
import { type LogAnswers, logStart } from './log-answers.ts';
import type { MetricsBoard } from './metrics-board.ts';

/** What these routes need of the hub. */
export interface LogReader {
  readLog(nodeId: string, request: LogRequest, signal: AbortSignal): AsyncGenerator<LogPart, void, void>;
}

export interface ObservationOptions {
  readonly store: Store;
  readonly logs: LogReader;
  readonly answers: LogAnswers;
  readonly metrics: MetricsBoard;
  readonly clock: Clock;
}

const closed = { additionalProperties: false } as const;
const one = { params: pathOf('instance_id', 'The instance.'), tag: 'app-instances', allow: everybody } as const;
const base = '/api/v1/app-instances/{instance_id}';

const LogsQuery = Type.Object(
  {
    task_id: Type.Optional(
      Type.String({
        pattern: identifierPattern,
        description: 'Read the log of this task of the instance instead of the output of its container.',
      }),
    ),
    service: Type.Optional({
      ...ServiceName,
      description: 'Only the output of this service of a stack; that of all of them, with their names, if absent.',
    }),
    ...logStart,
    follow: Type.Optional(
      Type.Boolean({
        description:
          'True to wait for what comes, over restarts, until the instance is stopped, failed or taken away, or the task ends.',
      }),
    ),
  },
  closed,
);

const Sample = Type.Object(
  {
    ...WorkloadSample.properties,
    at: Type.String({ description: 'When it was sampled, by the clock of the host.' }),
    interval_seconds: Type.Number({ description: 'Seconds since the sample before.' }),
    gpus: Type.Optional(Type.Array(GpuSample, { description: 'Its own cards; absent for none.' })),
  },
  closed,
);

export function observationRoutes({ store, logs, answers, metrics, clock }: ObservationOptions): Route[] {
  return [
    route({
      ...{ method: 'GET', path: `${base}/logs`, ...one, query: LogsQuery },
      summary: 'Log entries as server-sent events: `entries`, `gap` where some are missing, `end`. The id is a cursor.',
      answer: Type.Array(StreamedEntry),
      stream: async ({ who, params: { instance_id: id }, query, headers, signal: over }) => {
        const { nodeId, source } = await store.read(async (tx) => {
          const instance = await visibleInstance(tx, who, id);
          const task = query.task_id === undefined ? undefined : await tx.tasks.get(query.task_id);
          if (query.task_id !== undefined) found('task', query.task_id, task?.instance_id === id ? task : undefined);
          return {
            nodeId: found('node', 'of the instance', instance.node_id ?? undefined),
            source: sourceOf(id, task?.id, query.service),
          };
        });
        return answers.answer({ who, query, headers, signal: over }, (start, signal) => {
          const read = (from: string | null) => logs.readLog(nodeId, { ...start, source, cursor: from }, signal);
          if (!start.follow || source.kind === 'task') return read(start.cursor);
          const state = () => store.read(async (tx) => stateOf(await tx.app_instances.get(id), query.service));
          return followLog({ read, state, cursor: start.cursor, clock, signal });
        });
      },
    }),
    route({
      ...{ method: 'GET', path: `${base}/metrics`, ...one },
      summary: 'The last samples of an instance, oldest first.',
      answer: Type.Object({ samples: Type.Array(Sample, { description: 'Oldest first.' }) }, closed),
      read: async ({ who, params: { instance_id: id } }, tx) => {
        const { node_id } = await visibleInstance(tx, who, id);
        return { samples: node_id === null ? [] : [...metrics.of(node_id, id)] };
      },
    }),
    route({
      ...{ method: 'GET', path: `${base}/topology`, ...one, answer: InstanceTopology },
      summary: 'What an instance consists of, with the state of each service.',
      read: async ({ who, params: { instance_id: id } }, tx) => {
        const instance = await visibleInstance(tx, who, id);
        const version = await tx.app_versions.find({ app_slug: instance.app_slug, version: instance.app_version });
        return topologyOf(instance, version && profileOf(version));
      },
    }),
  ];
}

function sourceOf(id: string, task: string | undefined, service: string | undefined): LogSource {
  if (task !== undefined) return { kind: 'task', id: task };
  return service === undefined ? { kind: 'instance', id } : { kind: 'service', id, service };
}

/** Of the instance; a service that has ended for good is at rest, however its instance goes on. */
function stateOf(instance: AppInstance | undefined, service: string | undefined): AppInstance['state'] | undefined {
  const member = instance?.members.find(({ name }) => name === service)?.state;
  return member === 'stopped' || member === 'failed' ? member : instance?.state;
}
