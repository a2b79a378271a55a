/** `/api/v1/artifacts`: images that may be launched. Everybody sees them; the platform's people decide about them. */
import { type Static, Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import type { ServerContext } from '../context.ts';
import { Artifact, channels, Digest, type Ending, Provenance } from '../db/entities/artifact.ts';
import { everyProject } from '../db/entities/event.ts';
import { appendEvent, type Cause } from '../db/events.ts';
import { newId } from '../db/new-id.ts';
import type { Store, Tx } from '../db/store.ts';
import { everybody, found, platform } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions, pathOf } from '../http/lists.ts';
import { type Route, route, type Who } from '../http/route.ts';
import { isFrom, notifyInstances } from '../instances/notices.ts';
import { whyNotOffered, whyNotTrusted } from '../launch/artifact-fitness.ts';
import { environmentOf } from '../launch/environment.ts';
import { unlessTaken } from '../resources/projects.ts';
import { acceptedRepository } from './accepted-repository.ts';
import { moveLifecycle, moveTrust } from './lifecycle.ts';
import { mediaTypes } from './media-types.ts';
import { type PullAuthorization, registryReader } from './registry-client.ts';
import { verifyArtifact } from './verify-artifact.ts';

const { name, repository, lifecycle, trust } = Artifact.properties;

const NewArtifact = Type.Object(
  {
    ...{ name, repository, digest: Digest },
    media_type: Type.Enum([...mediaTypes], {
      description: 'Media type of what the digest names.',
    }),
    provenance: Type.Optional(Type.Partial(Provenance)),
  },
  { additionalProperties: false, description: 'An image that was pushed, to be registered.' },
);

export const ArtifactView = Type.Object(
  {
    ...Artifact.properties,
    launchable: Type.Boolean({ description: 'True if it may be launched as it is now.' }),
    why_not: Type.Array(Type.String(), { description: 'Codes of what stands against it; empty if nothing does.' }),
  },
  { additionalProperties: false, description: 'A registered image.' },
);
export type ArtifactView = Static<typeof ArtifactView>;

const ArtifactQuery = listQuery({
  name: Type.Optional(name),
  lifecycle: Type.Optional(lifecycle),
  trust: Type.Optional(trust),
});

const Promote = Type.Object(
  { channel: Type.Enum([...channels], { description: 'Where it is promoted to.' }) },
  { additionalProperties: false, description: 'A channel.' },
);

const Reason = Type.Object(
  {
    reason: Type.String({
      minLength: 1,
      maxLength: 500,
      description: 'Why, for those who run it and those who look at it.',
    }),
  },
  { additionalProperties: false, description: 'Why it is done.' },
);

const one = { params: pathOf('artifact_id', 'The artifact.'), answer: ArtifactView } as const;

export function artifactRoutes({ store, settings }: ServerContext, authorization: PullAuthorization): Route[] {
  const environment = environmentOf(settings);
  const view = (artifact: Artifact): ArtifactView => {
    const reasons = [whyNotOffered(artifact, environment), whyNotTrusted(artifact, environment)];
    const why_not = reasons.filter((code) => code !== undefined);
    return { ...artifact, launchable: why_not.length === 0, why_not };
  };
  return [
    route({
      ...{ method: 'POST', path: '/api/v1/artifacts', tag: 'artifacts' },
      summary: 'Registers an image by the digest that was pushed. It is not believed before it is verified.',
      allow: platform,
      body: NewArtifact,
      answer: ArtifactView,
      status: 201,
      change: async (asked, tx) => {
        const artifact = newArtifact(asked.body, asked);
        acceptedRepository(artifact.repository, settings.registries);
        await unlessTaken(() => tx.artifacts.insert(artifact), 'This name has this digest already.');
        await tell(tx, asked, artifact, 'published', `${artifact.name} was registered as ${artifact.digest}.`);
        return { body: view(artifact) };
      },
    }),
    route({
      ...{ method: 'GET', path: '/api/v1/artifacts', tag: 'artifacts', summary: 'Lists artifacts.' },
      allow: everybody,
      query: ArtifactQuery,
      answer: listOf(ArtifactView),
      read: async ({ query }, tx) => {
        const { limit: _limit, after: _after, ...where } = query;
        return page(await tx.artifacts.list({ where, ...pageOptions(query) }), query, view);
      },
    }),
    route({
      ...{
        method: 'GET',
        path: '/api/v1/artifacts/{artifact_id}',
        tag: 'artifacts',
        summary: 'Shows an artifact.',
        ...one,
      },
      allow: everybody,
      read: async ({ params: { artifact_id: id } }, tx) => view(found('artifact', id, await tx.artifacts.get(id))),
    }),
    ...verifying(store, authorization, settings.platform, view),
    ...deciding(view),
  ];
}

type View = (artifact: Artifact) => ArtifactView;
type Caused = Cause & { readonly who: Who };

function verifying(store: Store, authorization: PullAuthorization, wanted: string, view: View): Route[] {
  return [
    route({
      ...{ method: 'POST', path: '/api/v1/artifacts/{artifact_id}/verify', tag: 'artifacts', ...one },
      summary: 'Asks the registry whether it has exactly this image, and records which manifest runs.',
      allow: platform,
      prepare: async ({ params: { artifact_id: id }, signal }) => {
        const artifact = found('artifact', id, await store.read((tx) => tx.artifacts.get(id)));
        return verifyArtifact(artifact, wanted, registryReader(artifact.repository, authorization, signal));
      },
      change: async (asked, tx, verdict) => {
        const { artifact_id: id } = asked.params;
        const before = found('artifact', id, await tx.artifacts.get(id));
        const at = timeOf(asked);
        const after: Artifact = {
          ...before,
          ...{ trust: moveTrust(before, verdict.trust), updated_at: at, size_bytes: verdict.size_bytes },
          ...{ platform_digest: verdict.platform_digest },
          verification: { at, actor: asked.who.tokenId, message: verdict.message },
        };
        await tx.artifacts.put(after);
        await tell(tx, asked, after, verdict.trust, verdict.message);
        if (before.trust === 'verified' && after.trust === 'failed') {
          await notifyInstances(tx, asked, 'artifact_failed', isFrom(after), verdict.message);
        }
        return { body: view(after) };
      },
    }),
  ];
}

function deciding(view: View): Route[] {
  const path = '/api/v1/artifacts/{artifact_id}';
  const ending = (
    action: string,
    happened: Ending['became'],
    summary: string,
    to: (artifact: Artifact) => Partial<Artifact>,
  ) =>
    route({
      ...{
        method: 'POST',
        path: `${path}/${action}`,
        tag: 'artifacts',
        ...one,
        body: Reason,
        allow: platform,
        summary,
      },
      change: async (asked, tx) => {
        const { artifact_id: id } = asked.params;
        const before = found('artifact', id, await tx.artifacts.get(id));
        const { reason } = asked.body;
        const at = timeOf(asked);
        const ended: Ending = { became: happened, reason, at, actor: asked.who.tokenId };
        const endings = [...(before.endings ?? []), ended];
        const after: Artifact = { ...before, ...to(before), endings, updated_at: at };
        const isNews = before.lifecycle !== after.lifecycle || before.trust !== after.trust;
        if (isNews) {
          await tx.artifacts.put(after);
          await tell(tx, asked, after, happened, reason);
          await notifyInstances(tx, asked, `artifact_${happened}`, isFrom(after), reason);
        }
        return { body: view(isNews ? after : before) };
      },
    });
  return [
    route({
      ...{ method: 'POST', path: `${path}/promote`, tag: 'artifacts', ...one, body: Promote, allow: platform },
      summary: 'Vouches for a verified artifact on one channel.',
      change: async (asked, tx) => {
        const { artifact_id: id } = asked.params;
        const { channel } = asked.body;
        const before = found('artifact', id, await tx.artifacts.get(id));
        const after = { ...before, ...promoted(before, channel, asked), updated_at: timeOf(asked) };
        await tx.artifacts.put(after);
        const message = `${after.name} was promoted to ${channel}.`;
        await tell(tx, asked, after, 'promoted', message, { channel, digest: after.digest });
        return { body: view(after) };
      },
    }),
    ending(
      'deprecate',
      'deprecated',
      'Nothing new is launched from it; what runs goes on and is told.',
      (artifact) => ({
        lifecycle: moveLifecycle(artifact, 'deprecated'),
      }),
    ),
    ending('retire', 'retired', 'Ends its life for good; what runs goes on and is told.', (artifact) => ({
      lifecycle: moveLifecycle(artifact, 'retired'),
    })),
    ending('revoke', 'revoked', 'Takes the trust in it back for good; what runs goes on and is told.', (artifact) => ({
      trust: moveTrust(artifact, 'revoked'),
    })),
  ];
}

function promoted(artifact: Artifact, channel: (typeof channels)[number], asked: Caused): Partial<Artifact> {
  if (artifact.trust !== 'verified') {
    throw new AgentError('resource.conflict', { reason: `Its trust is ${artifact.trust}; verify it first.` });
  }
  const { digest, promotions } = artifact;
  const promotion = {
    channel,
    digest,
    actor: asked.who.tokenId,
    at: timeOf(asked),
    correlation_id: asked.correlationId,
  };
  return { lifecycle: moveLifecycle(artifact, 'promoted'), promotions: [...promotions, promotion] };
}

function newArtifact({ provenance = {}, ...given }: Static<typeof NewArtifact>, asked: Caused): Artifact {
  const unsaid = { source: null, revision: null, builder: null, built_at: null };
  return {
    ...{ id: newId(asked.now), ...given, provenance: { ...unsaid, ...provenance }, lifecycle: 'published' },
    ...{ trust: 'unverified', verification: null, promotions: [], platform_digest: null, size_bytes: null },
    ...{ created_at: timeOf(asked), updated_at: timeOf(asked), created_by: asked.who.tokenId },
  };
}

async function tell(
  tx: Tx,
  asked: Caused,
  { id }: Artifact,
  happened: string,
  message: string,
  data: Record<string, unknown> = {},
): Promise<void> {
  const subject = { kind: 'artifact', id } as const;
  await appendEvent(tx, asked, { type: `artifact.${happened}`, project_id: everyProject, subject, message, data });
}

function timeOf({ now }: Cause): string {
  return new Date(now).toISOString();
}
