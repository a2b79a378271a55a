/**
 * `/api/v1/service-accounts`: whom workloads act as. An account has no secret of its own: each instance that is launched as
 * it gets a token, which is good until the instance is decommissioned or the account is removed.
 */
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { ServiceAccount } from '../db/entities/credential.ts';
import { appendEvent, type Cause } from '../db/events.ts';
import { newId } from '../db/new-id.ts';
import type { Tx } from '../db/store.ts';
import { everybody, found, members, projectAsked, projectFilter, visible } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions, pathOf } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';
import { revokeMadeBy } from './end-tokens.ts';
import { unlessTaken } from './projects.ts';

const closed = { additionalProperties: false } as const;
const { name, role, project_id: project } = ServiceAccount.properties;
const NewAccount = Type.Object(
  {
    ...{ name, role },
    project_id: Type.Optional({ ...project, description: 'Its project; for callers that belong to none.' }),
  },
  { ...closed, description: 'An account to make.' },
);
const RemovedAccount = Type.Object(
  {
    ...ServiceAccount.properties,
    revoked: Type.Integer({ minimum: 0, description: 'How many tokens ended with it.' }),
  },
  { ...closed, description: 'An account that was removed.' },
);

const path = '/api/v1/service-accounts';
const one = { path: `${path}/{account_id}`, tag: 'service-accounts' } as const;
const params = pathOf('account_id', 'The account.');
const mostOfProject = 200;

const ListQuery = listQuery({ project_id: Type.Optional({ ...project, description: 'Only of this project.' }) });

export function serviceAccountRoutes(): Route[] {
  return [
    route({
      ...{ method: 'POST', path, tag: 'service-accounts', summary: 'Makes an account that workloads can act as.' },
      ...{ allow: members, body: NewAccount, answer: ServiceAccount, status: 201 },
      change: async (asked, tx) => {
        const projectId = projectAsked(asked.who, asked.body.project_id);
        found('project', projectId, await tx.projects.get(projectId));
        if ((await tx.service_accounts.count({ project_id: projectId })) >= mostOfProject) {
          throw new AgentError('resource.too_many', { reason: `The project has ${mostOfProject} accounts.` });
        }
        const account: ServiceAccount = {
          ...{ id: newId(asked.now), project_id: projectId, name: asked.body.name, role: asked.body.role },
          ...{ created_at: new Date(asked.now).toISOString(), created_by: asked.who.tokenId },
        };
        await unlessTaken(() => tx.service_accounts.insert(account), `The project has an account ${account.name}.`);
        await tell(tx, asked, account, 'created', `was made with the role ${account.role}`);
        return { body: account };
      },
    }),
    route({
      ...{ method: 'GET', path, tag: 'service-accounts', allow: everybody, answer: listOf(ServiceAccount) },
      summary: 'Lists service accounts.',
      query: ListQuery,
      read: async ({ who, query }, tx) => {
        const where = projectFilter(who, query.project_id);
        return page(await tx.service_accounts.list({ where, ...pageOptions(query) }), query, (account) => account);
      },
    }),
    route({
      ...{ method: 'GET', ...one, params, answer: ServiceAccount, allow: everybody, summary: 'Shows an account.' },
      read: async ({ who, params: { account_id: id } }, tx) =>
        visible(who, 'service account', id, await tx.service_accounts.get(id)),
    }),
    route({
      ...{ method: 'DELETE', ...one, params, answer: RemovedAccount, allow: members },
      summary: 'Removes an account: the tokens of all instances that act as it end at once, the instances run on.',
      change: async (asked, tx) => {
        const { account_id: id } = asked.params;
        const account = visible(asked.who, 'service account', id, await tx.service_accounts.get(id));
        await tx.service_accounts.delete(id);
        const revoked = await revokeMadeBy(tx, id, asked.now);
        await tell(tx, asked, account, 'removed', `was removed, and ${revoked} tokens with it`);
        return { body: { ...account, revoked } };
      },
    }),
  ];
}

async function tell(tx: Tx, cause: Cause, { id, name: text, project_id }: ServiceAccount, what: string, words: string) {
  await appendEvent(tx, cause, {
    ...{ type: `account.${what}`, project_id, subject: { kind: 'service_account', id } },
    message: `Service account ${text} ${words}.`,
  });
}
