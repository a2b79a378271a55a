/** `/api/v1/app-instances`: launching apps, looking at what runs, and the actions on it. */
import { Type } from 'typebox';
import { identifierPattern } from '../../contract/identifiers.ts';
import { AppInstance } from '../db/entities/app-instance.ts';
import { Event } from '../db/entities/event.ts';
import type { ReadTx } from '../db/store.ts';
import { everybody, members, projectAsked, projectFilter, visible } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions, pathOf } from '../http/lists.ts';
import { type Asked, type Route, route, type Who } from '../http/route.ts';
import { LaunchRequest } from '../launch/launch-request.ts';
import { control, decommission } from './actions.ts';
import { type Asking, createInstance, type Keeping, prepareLaunch } from './create-instance.ts';
import { InstanceView, LaunchedView, viewAmong, viewOf } from './instance-view.ts';
import type { Launching } from './launching.ts';
import { instanceActions } from './possible-actions.ts';
import { Preview, previewLaunch } from './preview-launch.ts';
import { lookingAround } from './surroundings.ts';

export interface InstanceRoutesOptions extends Launching, Keeping {}

const closed = { additionalProperties: false } as const;
const base = '/api/v1/app-instances';
const one = { params: pathOf('instance_id', 'The instance.'), tag: 'app-instances' } as const;

const Action = Type.Object(
  {
    action: Type.Enum([...instanceActions], { description: 'What to do.' }),
    keep_data: Type.Optional(
      Type.Boolean({
        description: 'For decommission: true keeps its scratch folders. Project storage is always kept.',
      }),
    ),
  },
  { ...closed, description: 'An action on an instance.' },
);

const ListQuery = listQuery({
  project_id: Type.Optional(Type.String({ pattern: identifierPattern, description: 'Only of this project.' })),
  allocation_id: Type.Optional(Type.String({ pattern: identifierPattern, description: 'Only on this allocation.' })),
  state: Type.Optional(AppInstance.properties.state),
});

export function instanceRoutes({ store, vault, queue, environment }: InstanceRoutesOptions): Route[] {
  const launching = { queue, environment };
  return [
    route({
      ...{ method: 'POST', path: base, tag: 'app-instances', summary: 'Launches an app. Use an `Idempotency-Key`.' },
      ...{ allow: members, body: LaunchRequest, answer: LaunchedView, status: 202 },
      prepare: (asked) => prepareLaunch({ store, vault }, environment, askingOf(asked)),
      change: async (asked, tx, prepared) => {
        const instance = await createInstance(tx, launching, askingOf(asked), prepared);
        const body = { ...(await viewOf(tx, instance)), credentials: [] };
        return { body, once: { credentials: [...prepared.tokens] } };
      },
    }),
    route({
      ...{ method: 'POST', path: `${base}/checks`, tag: 'app-instances', allow: members },
      summary: 'Says what would come of a launch, and changes nothing.',
      ...{ body: LaunchRequest, answer: Preview },
      read: async (asked, tx) => previewLaunch(tx, environment, askingOf(asked)),
    }),
    route({
      ...{ method: 'GET', path: base, tag: 'app-instances', summary: 'Lists instances.', allow: everybody },
      query: ListQuery,
      answer: listOf(InstanceView),
      read: async ({ who, query }, tx) => {
        const { state, allocation_id } = query;
        const where = { ...projectFilter(who, query.project_id), ...definedOnly({ state, allocation_id }) };
        const { items, next } = page(
          await tx.app_instances.list({ where, ...pageOptions(query) }),
          query,
          (each) => each,
        );
        const look = lookingAround(tx);
        const views = [];
        for (const instance of items) views.push(viewAmong(await look(instance), instance));
        return { items: views, next };
      },
    }),
    route({
      ...{ method: 'GET', path: `${base}/{instance_id}`, ...one, summary: 'Shows an instance.', allow: everybody },
      answer: InstanceView,
      read: async ({ who, params: { instance_id: id } }, tx) => viewOf(tx, await visibleInstance(tx, who, id)),
    }),
    route({
      ...{ method: 'POST', path: `${base}/{instance_id}/actions`, ...one, allow: members, status: 202 },
      summary:
        'Stops, starts, restarts or decommissions an instance. What is done already is left alone; start and restart of one whose launch failed launch it anew.',
      ...{ body: Action, answer: InstanceView },
      change: async (asked, tx) => {
        const { action, keep_data: keepData = false } = asked.body;
        const instance = await visibleInstance(tx, asked.who, asked.params.instance_id);
        const changed =
          action === 'decommission'
            ? await decommission(tx, queue, asked, instance, keepData)
            : await control(tx, launching, asked, instance, action);
        return { body: await viewOf(tx, changed) };
      },
    }),
    route({
      ...{ method: 'GET', path: `${base}/{instance_id}/events`, ...one, allow: everybody },
      summary: 'Lists what happened to an instance, oldest first. `/api/v1/events?subject_id=` follows it.',
      query: Type.Object(
        {
          after: Type.Optional(Type.Integer({ minimum: 0, description: 'Begin behind this event.' })),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Most events; default 200.' })),
        },
        closed,
      ),
      answer: Type.Object({ items: Type.Array(Event, { description: 'Oldest first.' }) }, closed),
      read: async ({ who, params: { instance_id: id }, query: { after = 0, limit = 200 } }, tx) => {
        await visibleInstance(tx, who, id);
        return { items: await tx.events.list({ after, limit, subject_id: id }) };
      },
    }),
  ];
}

function askingOf({ body, who, correlationId, now }: Asked<unknown, unknown, LaunchRequest, Who>): Asking {
  const { project_id, ...request } = body;
  const projectId = projectAsked(who, project_id);
  return { request, projectId, tokenId: who.tokenId, actor: who.actor, traceId: correlationId, now };
}

export async function visibleInstance(tx: ReadTx, who: Who, id: string): Promise<AppInstance> {
  return visible(who, 'app instance', id, await tx.app_instances.get(id));
}

function definedOnly<T extends object>(filters: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
