/**
 * `/api/v1/allocations`: shares of the fleet, given to projects.
 *
 *   active ─▶ releasing ─▶ ended
 *
 * While it is releasing nothing new starts there, its instances are being decommissioned, and then the host wipes what is
 * not to be kept; with that it ends by itself.
 *
 * An allocation is given before its host is known. What it then promises beyond the host is shown with it, and from then
 * on it can only be changed to what the host has.
 */
import { type Static, Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { identifierPattern } from '../../contract/identifiers.ts';
import { Allocation, Shape, SshAccess } from '../db/entities/allocation.ts';
import { given } from '../db/entities/fields.ts';
import { appendEvent } from '../db/events.ts';
import { newId } from '../db/new-id.ts';
import type { ReadTx } from '../db/store.ts';
import { everybody, found, platform, projectFilter, visible } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions, pathOf } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';
import { capacityOf, excess, left } from '../launch/resource-fit.ts';
import type { ReleaseAllocation } from './release-allocation.ts';

const { name, project_id, project_storage, data_policy, state } = Allocation.properties;

const AllocationView = Type.Object(
  {
    ...Allocation.properties,
    excess: Type.Array(
      Type.Object(
        {
          name: Type.Enum(['gpu_count', 'cpu_cores', 'memory_gib'], { description: 'Key of `shape`.' }),
          asked: Type.Number({ description: 'What the allocation promises.' }),
          have: Type.Number({ description: 'What its host has for workloads.' }),
        },
        { additionalProperties: false, description: 'One amount that is too large.' },
      ),
      {
        description: 'Where it promises more than its host has; empty where all fits, and while the host is not known.',
      },
    ),
  },
  { additionalProperties: false, description: 'A host, or a part of one, that a project may use.' },
);
export type AllocationView = Static<typeof AllocationView>;

const AllocationDetail = Type.Object(
  {
    ...AllocationView.properties,
    free: Type.Object(
      {
        gpu_count: Type.Number({ description: 'Cards.' }),
        cpu_cores: Type.Number({ description: 'Cores.' }),
        memory_gib: Type.Number({ description: 'Memory in GiB.' }),
      },
      { additionalProperties: false, description: 'What of its shape is promised to no instance.' },
    ),
  },
  { additionalProperties: false, description: 'An allocation with what is left of it.' },
);
export type AllocationDetail = Static<typeof AllocationDetail>;

const NewAllocation = Type.Object(
  {
    ...{ project_id, name: given(name), shape: Shape },
    ssh: Type.Optional(SshAccess),
    project_storage: Type.Optional(project_storage),
    data_policy: Type.Optional(data_policy),
  },
  { additionalProperties: false, description: 'An allocation to give.' },
);

const AllocationChange = Type.Object(
  {
    name: Type.Optional(given(name)),
    shape: Type.Optional(Shape),
    ssh: Type.Optional(SshAccess),
    project_storage: Type.Optional(project_storage),
  },
  { additionalProperties: false, minProperties: 1, description: 'What shall be otherwise.' },
);

const AllocationQuery = listQuery({
  project_id: Type.Optional(Type.String({ pattern: identifierPattern, description: 'Only of this project.' })),
  state: Type.Optional(state),
});

const one = { params: pathOf('allocation_id', 'The allocation.'), answer: AllocationView } as const;

export function allocationRoutes(release: ReleaseAllocation): Route[] {
  return [
    route({
      ...{
        method: 'POST',
        path: '/api/v1/allocations',
        tag: 'allocations',
        summary: 'Gives an allocation to a project.',
      },
      allow: platform,
      body: NewAllocation,
      answer: AllocationView,
      status: 201,
      change: async (asked, tx) => {
        const {
          project_id: projectId,
          ssh = null,
          project_storage: storage = false,
          data_policy: policy = 'keep',
        } = asked.body;
        found('project', projectId, await tx.projects.get(projectId));
        const allocation: Allocation = {
          ...{ id: newId(asked.now), project_id: projectId, name: asked.body.name, shape: asked.body.shape, ssh },
          ...{ state: 'active', node_id: null, project_storage: storage, data_policy: policy, ended_at: null },
          created_at: new Date(asked.now).toISOString(),
        };
        await tx.allocations.insert(allocation);
        await appendEvent(tx, asked, {
          ...{ type: 'allocation.created', project_id: projectId, subject: { kind: 'allocation', id: allocation.id } },
          message: `Allocation ${JSON.stringify(allocation.name)} was given.`,
        });
        return { body: await viewOf(tx, allocation) };
      },
    }),
    route({
      ...{ method: 'GET', path: '/api/v1/allocations', tag: 'allocations', summary: 'Lists allocations.' },
      allow: everybody,
      query: AllocationQuery,
      answer: listOf(AllocationView),
      read: async ({ who, query }, tx) => {
        const where = { ...projectFilter(who, query.project_id), ...(query.state ? { state: query.state } : {}) };
        const { items, next } = page(
          await tx.allocations.list({ where, ...pageOptions(query) }),
          query,
          (each) => each,
        );
        const views = [];
        for (const allocation of items) views.push(await viewOf(tx, allocation));
        return { items: views, next };
      },
    }),
    route({
      ...{ method: 'GET', path: '/api/v1/allocations/{allocation_id}', tag: 'allocations', ...one },
      summary: 'Shows an allocation, with what is left of it.',
      allow: everybody,
      answer: AllocationDetail,
      read: async ({ who, params: { allocation_id: id } }, tx) => {
        const allocation = visible(who, 'allocation', id, await tx.allocations.get(id));
        const instances = await tx.app_instances.list({ where: { allocation_id: id } });
        return { ...(await viewOf(tx, allocation)), free: left(allocation.shape, instances) };
      },
    }),
    route({
      ...{ method: 'PATCH', path: '/api/v1/allocations/{allocation_id}', tag: 'allocations', ...one },
      summary: 'Changes the name, the amounts, the way in, or the storage of an allocation.',
      allow: platform,
      body: AllocationChange,
      change: async (asked, tx) => {
        const { allocation_id: id } = asked.params;
        const before = found('allocation', id, await tx.allocations.get(id));
        if (before.state !== 'active') {
          throw new AgentError('resource.conflict', { reason: `The allocation is ${before.state}.` });
        }
        const after: Allocation = { ...before, ...asked.body };
        if (asked.body.shape) await assertHostHas(tx, after);
        await tx.allocations.put(after);
        await appendEvent(tx, asked, {
          ...{ type: 'allocation.changed', project_id: after.project_id, subject: { kind: 'allocation', id } },
          message: `Changed: ${Object.keys(asked.body).join(', ')}.`,
        });
        return { body: await viewOf(tx, after) };
      },
    }),
    route({
      ...{ method: 'POST', path: '/api/v1/allocations/{allocation_id}/end', tag: 'allocations', ...one },
      summary:
        'Ends an allocation: its instances are decommissioned, its data wiped. Repeated, it asks again for what failed.',
      allow: platform,
      status: 202,
      change: async (asked, tx) => {
        const { allocation_id: id } = asked.params;
        const allocation = found('allocation', id, await tx.allocations.get(id));
        const after = allocation.state === 'ended' ? allocation : await release(tx, asked, allocation);
        return { body: await viewOf(tx, after) };
      },
    }),
  ];
}

async function viewOf(tx: ReadTx, allocation: Allocation): Promise<AllocationView> {
  return { ...allocation, excess: await excessOf(tx, allocation) };
}

async function excessOf(tx: ReadTx, { shape, node_id }: Allocation): Promise<AllocationView['excess']> {
  return excess(shape, capacityOf(node_id === null ? undefined : await tx.nodes.get(node_id)));
}

async function assertHostHas(tx: ReadTx, allocation: Allocation): Promise<void> {
  const errors = (await excessOf(tx, allocation)).map(({ name, asked, have }) => ({
    ...{ path: `/shape/${name}`, code: 'maximum' },
    message: `is ${asked}, and the host has ${have} for workloads`,
  }));
  if (errors.length > 0) throw new AgentError('resource.exceeds_host', { errors });
}
