/** `/api/v1/projects/{id}/pushes` and `…/revisions`: how files of authors come here, and what has become of them. */
import { type Static, Type } from 'typebox';
import { RecommendedAction, recommendedAction } from '../../contract/failures.ts';
import { identifierPattern } from '../../contract/identifiers.ts';
import { Sha256 } from '../../contract/job-outputs.ts';
import { maxKeptItems } from '../../contract/kept-items.ts';
import { closed } from '../db/entities/fields.ts';
import type { Node } from '../db/entities/node.ts';
import { Push, Revision, RevisionManifest } from '../db/entities/revision.ts';
import type { ReadTx, Store } from '../db/store.ts';
import { everybody, found, maySee, members } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions, pathOf } from '../http/lists.ts';
import { type Route, route, type Who } from '../http/route.ts';
import { Seats, whileSeated } from '../http/seats.ts';
import { announce, arrived, assertJudgedSoon, type RevisionLimits, removeRevision } from './keep-pushes.ts';
import type { RevisionFiles } from './revision-files.ts';

export interface RevisionParts {
  readonly store: Store;
  readonly revisions: RevisionFiles;
  readonly revisionLimits: RevisionLimits;
}

const projectPath = '/api/v1/projects/{project_id}';
const pushesPath = `${projectPath}/pushes`;
const revisionsPath = `${projectPath}/revisions`;
const tag = 'jobs';
const inProject = pathOf('project_id', 'The project.');
const projectId = inProject.properties.project_id;
const ofPush = Type.Object(
  { project_id: projectId, push_id: Type.String({ pattern: identifierPattern, description: 'The push.' }) },
  closed,
);
const ofRevision = Type.Object({ project_id: projectId, sha256: Revision.properties.sha256 }, closed);

/** Each holds a file open. */
const seatLimits = { what: 'uploads', all: 64, each: 8 };

const NewPush = Type.Object(
  {
    bytes: { ...Push.properties.bytes, description: 'How long the tarball is, as it is sent: plain, or in gzip.' },
    sha256: Type.Optional({
      ...Sha256,
      description: 'sha256, in hex, of the tarball as it is sent. With it, a push that was interrupted is found again.',
    }),
  },
  { ...closed, description: 'A tarball that is about to be sent.' },
);

const { trace_id: _trace, ...shownPush } = Push.properties;
const PushView = Type.Object(
  {
    ...shownPush,
    received: Type.Integer({ minimum: 0, description: 'Bytes that are here; the next piece begins behind them.' }),
    recommended_action: Type.Union([RecommendedAction, Type.Null()], {
      description: 'What to do where it was refused; null where it was not.',
    }),
  },
  { ...closed, description: 'A push, and how far it is.' },
);
export type PushView = Static<typeof PushView>;

const { id: _id, prepared_on: _prepared, ...shownRevision } = Revision.properties;
const RevisionView = Type.Object(
  {
    ...shownRevision,
    accepting_jobs: Type.Boolean({
      description: 'True if jobs of it are taken. A host that has not built it yet does so before the first.',
    }),
    prepared_on: Type.Array(
      Type.Object(
        {
          node_id: Type.String({ description: 'The node.' }),
          node_name: Type.String({ description: 'What it is called.' }),
          at: Type.String({ description: 'When it last began something in what it has built.' }),
        },
        { ...closed, description: 'A host that has built it.' },
      ),
      { description: 'Hosts that have built it: a job of it begins at once there. Empty before the first.' },
    ),
  },
  { ...closed, description: 'Files of an author, as jobs are made of them.' },
);
export type RevisionView = Static<typeof RevisionView>;

const ManifestView = Type.Object(
  { manifest: RevisionManifest.properties.manifest },
  { ...closed, description: 'What a revision says of itself.' },
);
const Removed = Type.Object(
  { removed: Type.Boolean({ description: 'True.' }) },
  { ...closed, description: 'It is gone.' },
);

const ListQuery = listQuery({});

export function revisionRoutes(parts: RevisionParts): Route[] {
  const { revisions, revisionLimits } = parts;
  return [
    route({
      ...{ method: 'POST', path: pushesPath, tag, allow: members, params: inProject, status: 201 },
      summary: 'Announces a tarball with a Computalot project. Use an `Idempotency-Key`, or name its sha256.',
      ...{ body: NewPush, answer: PushView },
      change: async (asked, tx) => {
        const push = await announce(tx, asked, ownProject(asked.who, asked.params.project_id), asked.body, {
          limits: revisionLimits,
          revisions,
        });
        return { body: pushView(push, revisions) };
      },
    }),
    pieceRoute(parts),
    route({
      ...{ method: 'GET', path: `${pushesPath}/{push_id}`, tag, allow: everybody, params: ofPush, answer: PushView },
      summary: 'Shows a push: how much of it is here, and what it has become or what is wrong with it.',
      read: async ({ who, params }, tx) => pushView(await visiblePush(tx, who, params), revisions),
    }),
    route({
      ...{ method: 'GET', path: revisionsPath, tag, allow: everybody, params: inProject },
      ...{ summary: 'Lists the revisions of a project.', query: ListQuery, answer: listOf(RevisionView) },
      read: async ({ who, params, query }, tx) => {
        const where = { project_id: ownProject(who, params.project_id) };
        const { items, next } = page(await tx.revisions.list({ where, ...pageOptions(query) }), query, (each) => each);
        const views: RevisionView[] = [];
        for (const revision of items) views.push(await revisionView(tx, revision, revisions));
        return { items: views, next };
      },
    }),
    route({
      ...{ method: 'GET', path: `${revisionsPath}/{sha256}`, tag, allow: everybody, params: ofRevision },
      ...{ summary: 'Shows a revision, and which hosts have built it.', answer: RevisionView },
      read: async ({ who, params }, tx) => revisionView(tx, await visibleRevision(tx, who, params), revisions),
    }),
    route({
      ...{ method: 'GET', path: `${revisionsPath}/{sha256}/manifest`, tag, allow: everybody, params: ofRevision },
      ...{ summary: 'Shows the manifest of a revision.', answer: ManifestView },
      read: async ({ who, params }, tx) => {
        const { id, sha256 } = await visibleRevision(tx, who, params);
        return { manifest: found('revision', sha256, await tx.revision_manifests.get(id)).manifest };
      },
    }),
    route({
      ...{ method: 'DELETE', path: `${revisionsPath}/{sha256}`, tag, allow: members, params: ofRevision },
      ...{ summary: 'Removes a revision that no job needs any more.', answer: Removed },
      change: async (asked, tx) => {
        await removeRevision(tx, asked, await visibleRevision(tx, asked.who, asked.params), revisions);
        return { body: { removed: true } };
      },
    }),
  ];
}

function pieceRoute({ store, revisions }: RevisionParts): Route {
  const seats = new Seats(seatLimits);
  return route({
    ...{ method: 'PUT', path: `${pushesPath}/{push_id}`, tag, allow: members, params: ofPush, file: true },
    summary: 'Takes a piece of a tarball that was announced, or all of it; the raw bytes, no form.',
    query: Type.Object(
      {
        offset: Type.Integer({
          ...{ minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
          description: 'Where this piece begins: `received` of the push. 0: anew.',
        }),
      },
      closed,
    ),
    answer: PushView,
    prepare: async ({ who, params, query: { offset }, file }) => {
      const push = await store.read(async (tx) => {
        const asked = await visiblePush(tx, who, params);
        if (asked.state === 'receiving') await assertJudgedSoon(tx, asked);
        return asked;
      });
      if (push.state !== 'receiving' || !file) return;
      await whileSeated(seats.take(who), file, () => revisions.take(push, offset, file));
    },
    change: async ({ who, params }, tx) => {
      const push = await visiblePush(tx, who, params);
      return { body: pushView(revisions.isWhole(push) ? await arrived(tx, push) : push, revisions) };
    },
  });
}

/** A project that the caller sees; another one is answered as if there were none. */
function ownProject(who: Who, id: string): string {
  return found('project', id, maySee(who, id) ? id : undefined);
}

async function visiblePush(tx: ReadTx, who: Who, { project_id, push_id }: Static<typeof ofPush>): Promise<Push> {
  const push = await tx.pushes.get(push_id);
  return found('push', push_id, push?.project_id === ownProject(who, project_id) ? push : undefined);
}

async function visibleRevision(tx: ReadTx, who: Who, { project_id, sha256 }: Static<typeof ofRevision>) {
  return found('revision', sha256, await tx.revisions.find({ project_id: ownProject(who, project_id), sha256 }));
}

function pushView({ trace_id: _traceId, ...push }: Push, revisions: RevisionFiles): PushView {
  const received = push.state === 'receiving' ? revisions.received(push) : push.bytes;
  return { ...push, received, recommended_action: push.failure && recommendedAction(push.failure) };
}

async function revisionView(tx: ReadTx, revision: Revision, revisions: RevisionFiles): Promise<RevisionView> {
  const { id: _rowId, prepared_on, ...shown } = revision;
  const prepared: RevisionView['prepared_on'] = [];
  for (const { node_id, at } of prepared_on) {
    const node = await tx.nodes.get(node_id);
    // What a host has had that is gone helps nobody.
    if (node && node.status !== 'revoked' && mayHave(node, revision, at))
      prepared.push({ node_id, node_name: node.name, at });
  }
  return { ...shown, accepting_jobs: revisions.has(revision), prepared_on: prepared };
}

/** False once its host, which had it at that time, has said that it has not. Clocks are known to a second. */
function mayHave(
  { inventory, clock_offset_seconds: ahead = 0 }: Node,
  { project_id, sha256 }: Revision,
  at: string,
): boolean {
  const { kept } = inventory ?? {};
  if (!inventory || !kept || kept.length >= maxKeptItems) return true;
  if (Date.parse(inventory.at) - 1000 * (ahead + 2) < Date.parse(at)) return true;
  return kept.some(
    (item) => item.kind === 'image' && item.project_id === project_id && item.revision_sha256 === sha256,
  );
}
