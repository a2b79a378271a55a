/**
 * What a host asks for that is no node yet: whom to trust, which nobody need be told in secret since the join token has its
 * hash, and what it is invited to, for whoever has the token.
 */
import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { Invitation } from '../../contract/enrolment.ts';
import { invitationPath, trustPath } from '../../contract/signing.ts';
import type { Store } from '../db/store.ts';
import { openRoute, type Route } from '../http/route.ts';
import type { ServerKeys } from '../keys/server-keys.ts';
import { invited } from './join-token.ts';

export interface BootstrapParts {
  readonly store: Store;
  readonly keys: ServerKeys;
  /** PEM of the CA of our certificate; empty where the system's CAs are used. */
  readonly ca: string;
  /** Registry hosts that images may come from. */
  readonly registries: readonly string[];
}

const TrustQuery = Type.Object(
  {
    token_id: Type.Optional(
      Type.String({
        pattern: '^[a-z0-9]{16}$',
        description:
          'First part of the join token: its pin names the task key of when it was made. Absent: the present key.',
      }),
    ),
  },
  { additionalProperties: false },
);

export function bootstrapRoutes({ store, keys, ca, registries }: BootstrapParts): Route[] {
  return [
    openRoute({
      ...{ method: 'GET', path: trustPath, tag: 'agent' },
      summary: 'Tells what a node is to trust, byte for byte as the pin of a join token has hashed it.',
      query: TrustQuery,
      answer: Type.String({
        description: 'Domain, task key, release root and PEM of the CA, a line each; the PEM may be empty.',
      }),
      produces: 'text/plain',
      stream: async ({ query: { token_id: id } }) => {
        const token = id === undefined ? undefined : await store.read((tx) => tx.join_tokens.get(id));
        const taskKey = (token && keys.task.named(token.task_kid)) ?? keys.task.current;
        return { contentType: 'text/plain; charset=utf-8', body: Readable.from([keys.pinned(taskKey, ca)]) };
      },
    }),
    openRoute({
      ...{ method: 'GET', path: invitationPath, tag: 'agent' },
      summary: 'Tells whoever has a join token what a host must know before it enrols; the token stays good.',
      answer: Invitation,
      read: async ({ headers, now }, tx) => {
        const { allocation_id, expires_at } = await invited(tx, headers.authorization, now);
        return { allocation_id, expires_at, registries: [...registries] };
      },
    }),
  ];
}
