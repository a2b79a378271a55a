/** `/api/v1/audit`: who has asked for what change. For the platform's people: it shows all projects. */
import { Type } from 'typebox';
import { AuditEntry } from '../db/entities/audit-entry.ts';
import { platform } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';

const { outcome, actor, correlation_id } = AuditEntry.properties;

const ListQuery = listQuery({
  actor: Type.Optional(Type.String({ ...actor, description: 'Only of this one: `token:<id>`.' })),
  subject: Type.Optional(Type.String({ maxLength: 512, description: 'Only about this: ids as entries have them.' })),
  outcome: Type.Optional({ ...outcome, description: 'Only what was accepted, or only what was refused.' }),
  correlation_id: Type.Optional(
    Type.String({ ...correlation_id, description: 'Only the request of this name: its `x-correlation-id`.' }),
  ),
});

export function auditRoutes(): Route[] {
  return [
    route({
      ...{ method: 'GET', path: '/api/v1/audit', tag: 'system' },
      summary: 'Lists who has asked for what change, accepted or refused.',
      allow: platform,
      query: ListQuery,
      answer: listOf(AuditEntry),
      read: async ({ query }, tx) => {
        const { limit: _limit, after: _after, ...where } = query;
        return page(await tx.audit_entries.list({ where, ...pageOptions(query) }), query, (entry) => entry);
      },
    }),
  ];
}
