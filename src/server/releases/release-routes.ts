/**
 * `/api/v1/releases`: what hosts can be given. A release is published by its four papers, which are judged as a host judges
 * them; then its files come, each of which is what the papers say or is not kept.
 */
import { type Static, Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { ReleaseArtifact, ReleaseVersion } from '../../contract/release.ts';
import { type ReleasePapers, type TrustedRelease, trustRelease } from '../../policy/release-trust.ts';
import { closed } from '../db/entities/fields.ts';
import { Papers, StoredRelease } from '../db/entities/release.ts';
import { appendEvent, type Cause } from '../db/events.ts';
import { newId } from '../db/new-id.ts';
import type { ReadTx, Tx } from '../db/store.ts';
import { everybody, found, platform } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';
import type { ServerKeys } from '../keys/server-keys.ts';
import type { ReleaseFiles } from './release-files.ts';
import { cancelRollouts, type RolloutParts } from './rollouts.ts';

export interface ReleaseParts extends RolloutParts {
  readonly keys: ServerKeys;
  readonly files: ReleaseFiles;
}

const { papers: _papers, artifacts: _artifacts, ...shown } = StoredRelease.properties;

const FileView = Type.Object(
  {
    ...ReleaseArtifact.properties,
    received: Type.Integer({ minimum: 0, description: 'Bytes that are here; the next piece begins behind them.' }),
  },
  { ...closed, description: 'A file of the release.' },
);

export const ReleaseView = Type.Object(
  {
    ...shown,
    files: Type.Array(FileView, { description: 'What it consists of.' }),
    complete: Type.Boolean({ description: 'True once all files are here: only then it can be rolled out.' }),
  },
  { ...closed, description: 'A release of the agent.' },
);
export type ReleaseView = Static<typeof ReleaseView>;

const Withdraw = Type.Object(
  { reason: Type.String({ minLength: 1, maxLength: 500, description: 'Why, for whoever looks for it.' }) },
  { ...closed, description: 'Why nobody shall get it any more.' },
);

const Piece = Type.Object(
  {
    offset: Type.Optional(
      Type.Integer({
        ...{ minimum: 0, maximum: 1024 ** 3, default: 0 },
        description: 'Where this piece begins: `received` of the file. 0 or absent: anew.',
      }),
    ),
  },
  closed,
);

const ofVersion = Type.Object({ version: ReleaseVersion }, closed);
const ofFile = Type.Object({ version: ReleaseVersion, name: ReleaseArtifact.properties.name }, closed);

const path = '/api/v1/releases';

const ListQuery = listQuery({});

export function releaseRoutes(parts: ReleaseParts): Route[] {
  const { keys, files, store } = parts;
  const view = (release: StoredRelease) => viewOf(release, files);
  return [
    route({
      ...{ method: 'GET', path, tag: 'releases', summary: 'Lists releases of the agent.' },
      ...{ allow: everybody, query: ListQuery, answer: listOf(ReleaseView) },
      read: async ({ query }, tx) => page(await tx.releases.list(pageOptions(query)), query, view),
    }),
    route({
      ...{ method: 'GET', path: `${path}/{version}`, tag: 'releases', summary: 'Shows a release.' },
      ...{ allow: everybody, params: ofVersion, answer: ReleaseView },
      read: async ({ params: { version } }, tx) => view(await releaseNamed(tx, version)),
    }),
    route({
      ...{ method: 'POST', path, tag: 'releases', allow: platform, status: 201 },
      summary: 'Publishes a release by its papers, or the papers of one anew; its files come afterwards.',
      ...{ body: Papers, bodyLimit: 512 * 1024, answer: ReleaseView },
      change: async (asked, tx) => {
        const trusted = trustRelease(papersOf(asked.body), keys.releaseRoot);
        return { body: view(await publish(tx, asked, trusted)) };
      },
    }),
    route({
      ...{ method: 'PUT', path: `${path}/{version}/files/{name}`, tag: 'releases', allow: platform, file: true },
      summary: 'Takes a file of a release, whole or a piece of it; what is there already may come again.',
      ...{ params: ofFile, query: Piece, answer: ReleaseView },
      prepare: async ({ params: { version, name }, query, file }) => {
        const release = await store.read((tx) => publishedRelease(tx, version));
        const artifact = release.artifacts.find((each) => each.name === name);
        const wasMissing = files.missing(version, release.artifacts);
        if (file) await files.take({ version, artifact: found('file', name, artifact) }, query.offset ?? 0, file);
        return wasMissing.length > 0;
      },
      change: async (asked, tx, wasIncomplete) => {
        const { version } = asked.params;
        // Withdrawn while it came: nothing of it stays.
        const release = await publishedRelease(tx, version).catch(async (error: unknown) => {
          await files.remove(version);
          throw error;
        });
        const shownRelease = view(release);
        if (wasIncomplete && shownRelease.complete)
          await tell(tx, asked, release, 'complete', 'All its files are here.');
        return { body: shownRelease };
      },
    }),
    route({
      ...{ method: 'POST', path: `${path}/{version}/withdraw`, tag: 'releases', allow: platform },
      summary: 'Gives a release to nobody any more, and cancels its rollouts; hosts that run it go on.',
      ...{ params: ofVersion, body: Withdraw, answer: ReleaseView },
      change: async (asked, tx) => {
        const { version } = asked.params;
        const before = await releaseNamed(tx, version);
        if (before.state === 'withdrawn') return { body: view(before) };
        const { reason } = asked.body;
        const release: StoredRelease = { ...before, state: 'withdrawn', withdrawn_reason: reason };
        await tx.releases.put(release);
        await tell(tx, asked, release, 'withdrawn', reason);
        await cancelRollouts(tx, parts, asked, version);
        tx.afterCommit(
          () => void files.remove(version).catch((err) => parts.log.error({ err, version }, 'files stay')),
        );
        return { body: view(release) };
      },
    }),
  ];
}

/**
 * The papers of a version that is there may come anew, signed by other keys or for longer; what it consists of stays. Keys that
 * are older than what hosts may have seen are refused here, not by each host.
 */
async function publish(tx: Tx, asked: Cause & { body: Papers; who: { tokenId: string } }, trusted: TrustedRelease) {
  const { release, keysSeq } = trusted;
  const { schema: _schema, ...facts } = release;
  if (Date.parse(release.expires) <= asked.now) throw new AgentError('update.expired', { expires: release.expires });
  const others = await tx.releases.list();
  const newestKeys = Math.max(0, ...others.map(({ keys_seq }) => keys_seq));
  if (keysSeq < newestKeys) {
    const reason = `Its release keys are bundle ${keysSeq}, and hosts may have seen ${newestKeys}: sign it anew.`;
    throw new AgentError('update.untrusted', { reason });
  }
  const before = others.find(({ version }) => version === release.version);
  const papers = { keys_seq: keysSeq, papers: asked.body };
  if (before) {
    assertSame(before, release);
    const renewed: StoredRelease = { ...before, ...facts, ...papers };
    if (JSON.stringify(before.papers) === JSON.stringify(asked.body)) return before;
    await tx.releases.put(renewed);
    await tell(tx, asked, renewed, 'renewed', `Its papers came anew; they are good until ${release.expires}.`);
    return renewed;
  }
  const rival = others.find(({ seq }) => seq === release.seq);
  if (rival) throw conflict(`The number ${release.seq} is that of ${rival.version}: hosts tell releases by it.`);
  const stored: StoredRelease = {
    ...{ id: newId(asked.now), ...facts, ...papers, state: 'published', withdrawn_reason: null },
    ...{ created_at: new Date(asked.now).toISOString(), created_by: asked.who.tokenId },
  };
  await tx.releases.insert(stored);
  await tell(tx, asked, stored, 'published', `Release ${stored.version}, number ${stored.seq}, was published.`);
  return stored;
}

function assertSame(before: StoredRelease, { version, seq, artifacts }: TrustedRelease['release']): void {
  if (before.state === 'withdrawn') throw conflict(`${version} was withdrawn: ${before.withdrawn_reason}`);
  if (before.seq !== seq || JSON.stringify(before.artifacts) !== JSON.stringify(artifacts)) {
    throw conflict(`There is another ${version} already: a version is never used twice.`);
  }
}

/** `resource.not_found` */
export async function releaseNamed(tx: ReadTx, version: string): Promise<StoredRelease> {
  return found('release', version, await tx.releases.find({ version }));
}

/** Also not found once it was withdrawn, with the reason. */
export async function publishedRelease(tx: ReadTx, version: string): Promise<StoredRelease> {
  const release = await releaseNamed(tx, version);
  if (release.state === 'published') return release;
  const reason = `Release ${version} was withdrawn: ${release.withdrawn_reason}`;
  throw new AgentError('resource.not_found', { reason });
}

export function papersOf(papers: Papers): ReleasePapers {
  const bytes = (text: string) => Buffer.from(text, 'base64');
  return {
    ...{ manifest: bytes(papers.manifest), manifestSignature: bytes(papers.manifest_signature) },
    ...{ keys: bytes(papers.keys), keysSignature: bytes(papers.keys_signature) },
  };
}

function viewOf({ papers: _papers, artifacts, ...release }: StoredRelease, files: ReleaseFiles): ReleaseView {
  const { version } = release;
  return {
    ...release,
    files: artifacts.map((artifact) => ({ ...artifact, received: files.received({ version, artifact }) })),
    complete: release.state === 'published' && files.missing(version, artifacts).length === 0,
  };
}

async function tell(tx: Tx, cause: Cause, { id, version, seq }: StoredRelease, what: string, message: string) {
  await appendEvent(tx, cause, {
    ...{ type: `release.${what}`, project_id: null, subject: { kind: 'release', id }, message },
    data: { version, seq },
  });
}

function conflict(reason: string): AgentError {
  return new AgentError('resource.conflict', { reason });
}
