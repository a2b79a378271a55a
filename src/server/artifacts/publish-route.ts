/**
 * `POST /api/v1/artifacts/publish`: the intent to publish an image. Whoever has it pushes straight to the registry, for a
 * short time and to one repository; no byte of the image comes this way.
 *
 *   publish ─▶ push to the registry ─▶ register the digest ─▶ verify ─▶ promote
 */
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import type { ServerContext } from '../context.ts';
import { Artifact } from '../db/entities/artifact.ts';
import { appendEvent } from '../db/events.ts';
import { newId } from '../db/new-id.ts';
import { platform } from '../http/access.ts';
import { type Route, route } from '../http/route.ts';
import { longestSeconds, makeRegistryToken } from '../registry/registry-tokens.ts';
import { acceptedRepository } from './accepted-repository.ts';

const closed = { additionalProperties: false } as const;
const { repository } = Artifact.properties;

const Publish = Type.Object(
  {
    repository,
    expires_in_seconds: Type.Optional(
      Type.Integer({ minimum: 60, maximum: 3600, description: 'How long pushes may begin; default 900.' }),
    ),
  },
  { ...closed, description: 'Where an image is going to be pushed.' },
);

const PublishIntent = Type.Object(
  {
    id: Type.String({ description: 'Names the intent in the events.' }),
    repository,
    token: Type.Union([Type.String(), Type.Null()], {
      description: 'Bearer token for the registry, for this repository alone; the control plane does not keep it.',
    }),
    expires_at: Type.String({ description: 'RFC 3339 time when it ends.' }),
  },
  { ...closed, description: 'Leave to push one image.' },
);

export function publishRoute({ settings, keys }: ServerContext): Route {
  return route({
    ...{ method: 'POST', path: '/api/v1/artifacts/publish', tag: 'artifacts', allow: platform, status: 201 },
    summary: 'Gives a short-lived token to push to one repository; register and verify the digest afterwards.',
    ...{ body: Publish, answer: PublishIntent },
    prepare: async ({ body, who, now }) => {
      const { host, path } = acceptedRepository(body.repository, settings.registries);
      if (!settings.tokenRegistries.includes(host)) {
        const reason = `${host} takes no tokens of this control plane: push with a login of its own, then register.`;
        throw new AgentError('artifact.refused', { reason });
      }
      const access = [{ repository: path, actions: ['pull', 'push'] as const }];
      const { expires_in_seconds: seconds = longestSeconds } = body;
      return makeRegistryToken(keys.registry, who.actor, access, now, seconds);
    },
    change: async (asked, tx, { token, expiresAt }) => {
      const { repository: where } = asked.body;
      const id = newId(asked.now);
      const expires_at = expiresAt.toISOString();
      await appendEvent(tx, asked, {
        ...{ type: 'artifact.publishing', project_id: null, subject: { kind: 'artifact', id } },
        ...{ message: `An image may be pushed to ${where}.`, data: { repository: where, expires_at } },
      });
      return { body: { id, repository: where, token: null, expires_at }, once: { token } };
    },
  });
}
