/** What hosts ask for before they have a session. Each proves itself by what it signs. */
import {
  EnrolAnswer,
  EnrolRequest,
  GoodbyeAnswer,
  GoodbyeRequest,
  RotateAnswer,
  RotateRequest,
} from '../../contract/enrolment.ts';
import { enrolPath, goodbyePath, rotateKeysPath } from '../../contract/signing.ts';
import type { Store, Tx } from '../db/store.ts';
import { openRoute, type Route } from '../http/route.ts';
import type { ServerKeys } from '../keys/server-keys.ts';
import { type Enrolled, enrol } from './enrol.ts';
import { assertLeaving } from './goodbye.ts';
import { rotateNodeKeys } from './rotate-keys.ts';

export interface EnrolmentParts {
  readonly store: Store;
  readonly keys: ServerKeys;
  /** Origin that hosts dial. */
  audience(): string;
  /** PEM of the CA of our certificate; empty where the system's CAs are used. */
  readonly ca: string;
  /** Shuts a node out for good. */
  revoke(tx: Tx, nodeId: string, actor: string): Promise<unknown>;
}

export function enrolmentRoutes({ store, keys, audience, ca, revoke }: EnrolmentParts): Route[] {
  return [
    openRoute({
      ...{ method: 'POST', path: enrolPath, tag: 'agent', summary: 'A host becomes a node.' },
      body: EnrolRequest,
      answer: EnrolAnswer,
      // A transaction of its own: an alarm about a refused host is kept, which what is thrown in `change` would undo.
      prepare: ({ body, now, correlationId }) =>
        store.write((tx) => enrol(tx, body, { keys, audience: audience(), ca, now, correlationId })),
      change: async (_, __, enrolled: Enrolled) => {
        if ('failure' in enrolled) throw enrolled.failure;
        return { body: enrolled.answer };
      },
    }),
    openRoute({
      ...{ method: 'POST', path: rotateKeysPath, tag: 'agent', summary: 'A node replaces its keys.' },
      body: RotateRequest,
      answer: RotateAnswer,
      change: async ({ body }, tx) => {
        await rotateNodeKeys(tx, body, audience());
        return { body: {} };
      },
    }),
    openRoute({
      ...{ method: 'POST', path: goodbyePath, tag: 'agent', summary: 'A node leaves for good.' },
      body: GoodbyeRequest,
      answer: GoodbyeAnswer,
      change: async ({ body }, tx) => {
        const { id } = await assertLeaving(tx, body, audience());
        await revoke(tx, id, `node:${id}`);
        return { body: {} };
      },
    }),
  ];
}
