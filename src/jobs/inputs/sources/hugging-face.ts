/** Files of a model on a Hugging Face hub, at the commit that its revision is now. */

import { type Authorize, bearerFor } from '../client.ts';
import type { ResolvedSource } from '../job-inputs.ts';
import { chosenOf, type RemoteFile, type RemoteSource } from '../remote-file.ts';
import { refused } from '../trouble.ts';
import type { SourceMeans } from './means.ts';

const publicHub = 'https://huggingface.co';
const repoPattern = /^[A-Za-z0-9][\w.-]{0,95}(\/[A-Za-z0-9_][\w.-]{0,95})?$/;

export async function findInHub(
  { repo, revision, files }: Extract<ResolvedSource, { kind: 'huggingface' }>,
  means: SourceMeans,
): Promise<RemoteSource> {
  if (!repoPattern.test(repo))
    throw refused('It is no name of a repository: `owner/name`.', { repo: repo.slice(0, 128) });
  const hubUrl = (means.endpoints.huggingface ?? publicHub).replace(/\/$/, '');
  const authorize = bearerFor(new URL(hubUrl).origin, means.credential?.['access_token']);
  const { listFiles, modelInfo } = await import('./hub-api.ts');
  const fetch = fetchBy(means, authorize);
  const { sha } = await modelInfo({ name: repo, revision, additionalFields: ['sha'], hubUrl, fetch });
  if (typeof sha !== 'string' || !/^[0-9a-f]{40}$/.test(sha)) throw refused('The hub does not say which commit it is.');
  const found: RemoteFile[] = [];
  for await (const { type, path, size, oid, lfs } of listFiles({
    repo,
    revision: sha,
    recursive: true,
    hubUrl,
    fetch,
  })) {
    if (type !== 'file') continue;
    const checksum = checksumOf(lfs?.oid, oid);
    const url = new URL(`${hubUrl}/${repo}/resolve/${sha}/${path.split('/').map(encodeURIComponent).join('/')}`);
    // Of the content, not of the commit: what has not changed is not fetched again.
    found.push({ path, url, size: lfs?.size ?? size, checksum, version: `${hubUrl}/${repo} ${path} ${checksum.hex}` });
  }
  return { files: chosenOf(found, files), authorize, commit: sha };
}

function checksumOf(lfs: string | undefined, git: string | undefined): NonNullable<RemoteFile['checksum']> {
  if (lfs !== undefined && /^[0-9a-f]{64}$/.test(lfs)) return { algorithm: 'sha256', hex: lfs };
  if (lfs === undefined && git !== undefined && /^[0-9a-f]{40}$/.test(git)) return { algorithm: 'git-sha1', hex: git };
  throw refused('The hub does not say what a file contains.');
}

/** What its client takes for `fetch`: refusals and troubles are told apart before it sees them. */
function fetchBy({ client, signal }: SourceMeans, authorize: Authorize): typeof globalThis.fetch {
  return async (input) => {
    const url = new URL(String(input));
    const { body, answer } = await client.read({ url, authorize, signal, headers: { accept: 'application/json' } });
    const { link } = answer.headers;
    return new Response(new Uint8Array(body), link === undefined ? {} : { headers: { link: String(link) } });
  };
}
