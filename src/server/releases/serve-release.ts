/**
 * The files of releases for hosts: for nodes by the bearer of their session, for what is no node yet by its join token, and
 * `bootstrap.sh` for everybody. Nobody has to believe us about them: each host judges them by the root that it has pinned.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import {
  ReleaseArtifact,
  releaseChannelPattern,
  releasePapers,
  releaseVersionPattern,
} from '../../contract/release.ts';
import { bootstrapPath, releasesPath } from '../../contract/signing.ts';
import { sha256Of } from '../../policy/release-trust.ts';
import { closed } from '../db/entities/fields.ts';
import type { Papers, StoredRelease } from '../db/entities/release.ts';
import type { ReadTx, Store } from '../db/store.ts';
import { invited } from '../enrolment/join-token.ts';
import { type FileSource, sendFile } from '../files/send-file.ts';
import { openRoute, type Route } from '../http/route.ts';
import { type Seat, type SeatLimits, Seats } from '../http/seats.ts';
import { nodeAsking } from '../hub/admission.ts';
import { currentRelease, usualChannel } from './current-release.ts';
import type { ReleaseFiles } from './release-files.ts';
import { publishedRelease } from './release-routes.ts';

export interface ServingParts {
  readonly store: Store;
  readonly files: ReleaseFiles;
}

const channel = Type.String({ pattern: releaseChannelPattern, description: 'Channel whose present release is meant.' });
const file = { ...ReleaseArtifact.properties.name, description: 'A file of the release, or one of its four papers.' };
const release = Type.String({
  pattern: `${releaseVersionPattern}|${releaseChannelPattern}`,
  maxLength: 64,
  description: 'A version, or the channel whose present release is meant.',
});
const answer = Type.String({ description: 'The file. `Range` gives a part of it, `If-None-Match` only a newer one.' });
const bytes = { answer, produces: 'application/octet-stream' } as const;

/** Each holds a file open and a part of it in memory, and whoever has one does not read it. A host needs one, and two where one broke. */
const seatLimits: SeatLimits = { what: 'downloads', all: 512, each: 8 };

export function servingRoutes({ store, files }: ServingParts): Route[] {
  const seats = new Seats(seatLimits);
  const current = (tx: ReadTx, name: string, now: number) => currentOf(tx, files, name, now);
  return [
    openRoute({
      ...{ method: 'GET', path: `${releasesPath}/{release}/{file}`, tag: 'agent', ...bytes },
      summary: 'Gives a node a file of a release.',
      params: Type.Object({ release, file }, closed),
      stream: async ({ headers, params, now }) => {
        const isVersion = new RegExp(releaseVersionPattern).test(params.release);
        const { whose, asked } = await store.read(async (tx) => ({
          whose: (await nodeAsking(tx, headers.authorization)).id,
          asked: await (isVersion ? publishedRelease(tx, params.release) : current(tx, params.release, now)),
        }));
        return await fileOf(files, asked, params.file, { headers, isVersion, seat: seatOf(seats, whose) });
      },
    }),
    openRoute({
      ...{ method: 'GET', path: `${bootstrapPath}/{channel}/{file}`, tag: 'agent', ...bytes },
      summary: 'Gives whoever has a join token a file of the present release of a channel; the token stays good.',
      params: Type.Object({ channel, file }, closed),
      stream: async ({ headers, params, now }) => {
        const { whose, asked } = await store.read(async (tx) => ({
          whose: (await invited(tx, headers.authorization, now)).id,
          asked: await current(tx, params.channel, now),
        }));
        return await fileOf(files, asked, params.file, { headers, isVersion: false, seat: seatOf(seats, whose) });
      },
    }),
    openRoute({
      ...{ method: 'GET', path: '/bootstrap.sh', tag: 'agent', answer, produces: 'text/x-shellscript' },
      summary: 'Gives the bootstrap of hosts, as the present release of the channel `stable` has it.',
      stream: async ({ headers, now }) => {
        const asked = await store.read((tx) => current(tx, usualChannel, now));
        const script = asked.artifacts.find(({ kind }) => kind === 'bootstrap')?.name ?? 'bootstrap.sh';
        const streamed = await fileOf(files, asked, script, { headers, isVersion: false });
        return { ...streamed, contentType: 'text/x-shellscript; charset=utf-8', isKnown: false };
      },
    }),
  ];
}

async function currentOf(tx: ReadTx, files: ReleaseFiles, name: string, now: number): Promise<StoredRelease> {
  const isWhole = ({ version, artifacts }: StoredRelease) => files.missing(version, artifacts).length === 0;
  const found = await currentRelease(tx, name, { now, isWhole });
  if (found) return found;
  const reason = `No release is published for the channel ${JSON.stringify(name)}: gpuaas releases publish DIR.`;
  throw new AgentError('resource.not_found', { reason });
}

interface Manner {
  readonly headers: IncomingHttpHeaders;
  /** True where the address names one version, whose files never change. */
  readonly isVersion: boolean;
  /** Undefined where strangers are bounded by their connections. */
  readonly seat?: () => Seat;
}

function seatOf(seats: Seats, whose: string): () => Seat {
  return () => seats.take({ projectId: null, tokenId: whose });
}

interface Source extends FileSource {
  /** False where the papers are good for longer by now: they may come anew under the same name. */
  readonly isForEver: boolean;
}

async function fileOf(files: ReleaseFiles, asked: StoredRelease, name: string, { headers, isVersion, seat }: Manner) {
  const source = paperOf(asked.papers, name) ?? artifactOf(files, asked, name);
  const kept = isVersion && source.isForEver ? 'private, max-age=31536000, immutable' : 'private, no-cache';
  const more = { 'cache-control': kept };
  return await sendFile(source, { headers, more, seat: source.isForEver ? seat : undefined });
}

function paperOf(papers: Papers, name: string): Source | undefined {
  const texts = {
    [releasePapers.manifest]: papers.manifest,
    [releasePapers.manifestSignature]: papers.manifest_signature,
    [releasePapers.keys]: papers.keys,
    [releasePapers.keysSignature]: papers.keys_signature,
  };
  const text = Object.hasOwn(texts, name) ? texts[name as keyof typeof texts] : undefined;
  if (text === undefined) return undefined;
  const whole = Buffer.from(text, 'base64');
  return {
    ...{ size: whole.length, etag: `"${sha256Of(whole)}"`, isForEver: false },
    read: async (start, end) => Readable.from([whole.subarray(start, end + 1)]),
  };
}

function artifactOf(files: ReleaseFiles, { version, artifacts }: StoredRelease, name: string): Source {
  const artifact = artifacts.find((each) => each.name === name);
  const missing = () => new AgentError('resource.not_found', { reason: `Release ${version} has no ${name} here.` });
  if (!artifact) throw missing();
  return {
    ...{ size: artifact.size, etag: `"${artifact.sha256}"`, isForEver: true },
    read: async (start, end) => {
      const handle = await files.open({ version, artifact });
      if (!handle) throw missing();
      return handle.createReadStream({ start, end });
    },
  };
}
