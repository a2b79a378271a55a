/**
 * `/api/v1/access-credentials`: secrets that a project keeps for its launches, such as a key for hosts or a token of a model
 * hub. A value goes in and is never answered; a launch names the credential, and its host alone gets the value.
 */
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { AccessCredential } from '../db/entities/credential.ts';
import { appendEvent, type Cause } from '../db/events.ts';
import { newId } from '../db/new-id.ts';
import type { Tx } from '../db/store.ts';
import { everybody, found, members, projectAsked, projectFilter, visible } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions, pathOf } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';
import type { Vault } from '../keys/vault.ts';
import { unlessTaken } from './projects.ts';

const closed = { additionalProperties: false } as const;
const { sealed: _sealed, ...shown } = AccessCredential.properties;
const CredentialView = Type.Object(shown, { ...closed, description: 'A credential, without its value.' });

const Value = Type.String({
  ...{ minLength: 1, maxLength: 16_384, pattern: '^[^\\u0000]*$' },
  description: 'The secret. Sealed at once, and never answered.',
});
const NewCredential = Type.Object(
  {
    ...{ name: shown.name, kind: shown.kind, value: Value },
    project_id: Type.Optional({ ...shown.project_id, description: 'Its project; for callers that belong to none.' }),
  },
  { ...closed, description: 'A credential to keep.' },
);
const NewValue = Type.Object({ value: Value }, { ...closed, description: 'A value in place of the one before.' });

const path = '/api/v1/access-credentials';
const one = { path: `${path}/{credential_id}`, tag: 'access-credentials' } as const;
const named = { params: pathOf('credential_id', 'The credential.'), answer: CredentialView } as const;
const mostOfProject = 200;

const ListQuery = listQuery({
  project_id: Type.Optional({ ...shown.project_id, description: 'Only of this project.' }),
});

export function accessCredentialRoutes(vault: Vault): Route[] {
  return [
    route({
      ...{ method: 'POST', path, tag: 'access-credentials', summary: 'Keeps a secret for launches of the project.' },
      ...{ allow: members, body: NewCredential, answer: CredentialView, status: 201 },
      change: async (asked, tx) => {
        const { name, kind, value, project_id } = asked.body;
        const projectId = projectAsked(asked.who, project_id);
        found('project', projectId, await tx.projects.get(projectId));
        assertValue(kind, value);
        if ((await tx.access_credentials.count({ project_id: projectId })) >= mostOfProject) {
          throw new AgentError('resource.too_many', { reason: `The project has ${mostOfProject} credentials.` });
        }
        const id = newId(asked.now);
        const at = new Date(asked.now).toISOString();
        const credential: AccessCredential = {
          ...{ id, project_id: projectId, name, kind, sealed: vault.seal(value, id) },
          ...{ created_at: at, created_by: asked.who.tokenId, value_set_at: at },
        };
        await unlessTaken(() => tx.access_credentials.insert(credential), `The project has a credential ${name}.`);
        await tell(tx, asked, credential, 'created', 'is kept');
        return { body: viewOf(credential) };
      },
    }),
    route({
      ...{ method: 'GET', path, tag: 'access-credentials', allow: everybody, answer: listOf(CredentialView) },
      summary: 'Lists credentials, without their values.',
      query: ListQuery,
      read: async ({ who, query }, tx) => {
        const where = projectFilter(who, query.project_id);
        return page(await tx.access_credentials.list({ where, ...pageOptions(query) }), query, viewOf);
      },
    }),
    route({
      ...{ method: 'GET', ...one, ...named, allow: everybody, summary: 'Shows a credential, without its value.' },
      read: async ({ who, params: { credential_id: id } }, tx) =>
        viewOf(visible(who, 'credential', id, await tx.access_credentials.get(id))),
    }),
    route({
      ...{ method: 'POST', ...one, path: `${one.path}/rotate`, ...named, allow: members, body: NewValue },
      summary: 'Sets the value anew, for launches from now on; what runs keeps what it was given.',
      change: async (asked, tx) => {
        const { credential_id: id } = asked.params;
        const before = visible(asked.who, 'credential', id, await tx.access_credentials.get(id));
        const { value } = asked.body;
        assertValue(before.kind, value);
        const value_set_at = new Date(asked.now).toISOString();
        const after = { ...before, sealed: vault.seal(value, id), value_set_at };
        await tx.access_credentials.put(after);
        await tell(tx, asked, after, 'rotated', 'has another value');
        return { body: viewOf(after) };
      },
    }),
    route({
      ...{ method: 'DELETE', ...one, ...named, allow: members },
      summary: 'Forgets a credential and its value; what runs keeps what it was given.',
      change: async (asked, tx) => {
        const { credential_id: id } = asked.params;
        const credential = visible(asked.who, 'credential', id, await tx.access_credentials.get(id));
        await tx.access_credentials.delete(id);
        await tell(tx, asked, credential, 'removed', 'was forgotten');
        return { body: viewOf(credential) };
      },
    }),
  ];
}

/** What is wrong with a value is never said with it. */
function assertValue(kind: AccessCredential['kind'], value: string): void {
  const message =
    kind === 'token' && !/^[\x21-\x7e]{1,4096}$/.test(value)
      ? 'must be one word of at most 4096 visible ASCII characters, as tokens are'
      : kind === 'ssh_private_key' && !/^-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----\r?\n[\s\S]*-----END /.test(value)
        ? 'must be a private key in PEM or OpenSSH form'
        : undefined;
  if (message !== undefined) {
    throw new AgentError('request.invalid', { errors: [{ path: '/value', code: 'value', message }] });
  }
}

async function tell(tx: Tx, cause: Cause, { id, name, project_id }: AccessCredential, what: string, words: string) {
  await appendEvent(tx, cause, {
    ...{ type: `credential.${what}`, project_id, subject: { kind: 'access_credential', id } },
    message: `Credential ${name} ${words}.`,
  });
}

function viewOf({ sealed: _value, ...credential }: AccessCredential) {
  return credential;
}
