/**
 * `/api/v1/allocations`: shares of the fleet, given to projects.
 *
 *   active ─▶ releasing ─▶ ended
 *
 * While it is releasing nothing new starts there, and its instances are being decommissioned; with the last of them it
 * ends by itself.
 */
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { identifierPattern } from '../../contract/identifiers.ts';
import { Allocation, Shape, SshAccess } from '../db/entities/allocation.ts';
import { appendEvent } from '../db/events.ts';
import { newId } from '../db/new-id.ts';
import { everybody, found, platform, projectFilter, visible } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions, pathOf } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';
import type { ReleaseAllocation } from './release-allocation.ts';

const { name, project_id, project_storage, data_policy, state } = Allocation.properties;

const NewAllocation = Type.Object(
  {
    ...{ project_id, name, shape: Shape },
    ssh: Type.Optional(SshAccess),
    project_storage: Type.Optional(project_storage),
    data_policy: Type.Optional(data_policy),
  },
  { additionalProperties: false, description: 'An allocation to give.' },
);

const AllocationChange = Type.Object(
  { name: Type.Optional(name), ssh: Type.Optional(SshAccess), project_storage: Type.Optional(project_storage) },
  { additionalProperties: false, minProperties: 1, description: 'What shall be otherwise.' },
);

const AllocationQuery = listQuery({
  project_id: Type.Optional(Type.String({ pattern: identifierPattern, description: 'Only of this project.' })),
  state: Type.Optional(state),
});

const one = { params: pathOf('allocation_id', 'The allocation.'), answer: Allocation } as const;

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
      answer: Allocation,
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
        return { body: allocation };
      },
    }),
    route({
      ...{ method: 'GET', path: '/api/v1/allocations', tag: 'allocations', summary: 'Lists allocations.' },
      allow: everybody,
      query: AllocationQuery,
      answer: listOf(Allocation),
      read: async ({ who, query }, tx) => {
        const where = { ...projectFilter(who, query.project_id), ...(query.state ? { state: query.state } : {}) };
        return page(await tx.allocations.list({ where, ...pageOptions(query) }), query, (allocation) => allocation);
      },
    }),
    route({
      ...{ method: 'GET', path: '/api/v1/allocations/{allocation_id}', tag: 'allocations', ...one },
      summary: 'Shows an allocation.',
      allow: everybody,
      read: async ({ who, params: { allocation_id: id } }, tx) =>
        visible(who, 'allocation', id, await tx.allocations.get(id)),
    }),
    route({
      ...{ method: 'PATCH', path: '/api/v1/allocations/{allocation_id}', tag: 'allocations', ...one },
      summary: 'Changes the name, the way in, or the storage of an allocation.',
      allow: platform,
      body: AllocationChange,
      change: async (asked, tx) => {
        const { allocation_id: id } = asked.params;
        const before = found('allocation', id, await tx.allocations.get(id));
        if (before.state !== 'active') {
          throw new AgentError('resource.conflict', { reason: `The allocation is ${before.state}.` });
        }
        const after: Allocation = { ...before, ...asked.body };
        await tx.allocations.put(after);
        await appendEvent(tx, asked, {
          ...{ type: 'allocation.changed', project_id: after.project_id, subject: { kind: 'allocation', id } },
          message: `Changed: ${Object.keys(asked.body).join(', ')}.`,
        });
        return { body: after };
      },
    }),
    route({
      ...{ method: 'POST', path: '/api/v1/allocations/{allocation_id}/end', tag: 'allocations', ...one },
      summary: 'Ends an allocation: its instances are decommissioned. Safe to repeat.',
      allow: platform,
      status: 202,
      change: async (asked, tx) => {
        const { allocation_id: id } = asked.params;
        const allocation = found('allocation', id, await tx.allocations.get(id));
        return { body: allocation.state === 'active' ? await release(tx, asked, allocation) : allocation };
      },
    }),
  ];
}
