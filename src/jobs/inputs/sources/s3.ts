/**
 * Objects of a bucket. The URL of an object is the same whether the bucket is named by its host or by the first part of its path;
 * only a list is asked for in one of two places, and the first that answers with a list is the right one.
 */
import { AgentError } from '../../../contract/failures.ts';
import type { Authorize } from '../client.ts';
import type { ResolvedSource } from '../job-inputs.ts';
import type { RemoteFile, RemoteSource } from '../remote-file.ts';
import { plainUrl, refused } from '../trouble.ts';
import { decoded, readUrl } from './http.ts';
import type { SourceMeans } from './means.ts';
import { probe } from './probe.ts';
import { listObjects } from './s3-listing.ts';
import { signerOf } from './s3-signer.ts';

type S3Source = Extract<ResolvedSource, { kind: 's3' }>;

export async function findInBucket({ url: text, region, files }: S3Source, means: SourceMeans): Promise<RemoteSource> {
  const url = readUrl(text, means.credential);
  // Whoever made a link has signed it as it is; else in one spelling: what is signed has to be what is sent.
  if (url.search === '' || means.credential?.['access_key_id'] !== undefined) {
    url.search = '';
    url.pathname = encodePath(decoded(url.pathname));
  }
  const authorize = signerOf({ origin: url.origin, region, credential: means.credential });
  const bucket = { means, authorize };
  if (files.length === 0) {
    return { authorize, files: await everythingAt(url, bucket) };
  }
  const wishes = files.map(async (wish) => {
    const place = new URL(url);
    place.pathname = `${url.pathname.replace(/\/$/, '')}/${encodePath(wish.replace(/^\//, ''))}`;
    const under = wish.replace(/^\//, '');
    if (!wish.endsWith('/')) return [await objectAt(place, under, bucket)];
    return (await folderAt(place, bucket)).map((file) => ({ ...file, path: `${under}${file.path}` }));
  });
  const found = new Map((await Promise.all(wishes)).flat().map((file) => [file.path, file]));
  return { authorize, files: [...found.values()] };
}

interface Bucket {
  readonly means: SourceMeans;
  readonly authorize: Authorize;
}

/** An object where there is one of that name, else all that is below it. */
async function everythingAt(url: URL, bucket: Bucket): Promise<readonly RemoteFile[]> {
  if (url.pathname.endsWith('/')) return await folderAt(url, bucket);
  try {
    return [await objectAt(url, decoded(url.pathname.split('/').at(-1) ?? ''), bucket)];
  } catch (error) {
    // Without the right to list, what is not there is forbidden.
    if (!isAbsent(error)) throw error;
    const folder = new URL(`${url.href}/`);
    const found = await folderAt(folder, bucket).catch(() => []);
    if (found.length === 0) throw error;
    return found;
  }
}

function isAbsent(error: unknown): boolean {
  return (
    error instanceof AgentError && error.code === 'input.refused' && [403, 404].includes(Number(error.detail['status']))
  );
}

async function objectAt(url: URL, path: string, { means, authorize }: Bucket): Promise<RemoteFile> {
  const facts = await probe(url, means, authorize);
  // Objects have one; a list does not, which is what the name of a bucket answers with.
  if (facts.etag === undefined) throw refused('There is no object of that name.', { url: plainUrl(url), status: 404 });
  // A link is another one each time, and leads to the same.
  return { path, url, ...facts, version: `${url.origin}${url.pathname} ${facts.size} ${facts.etag}` };
}

async function folderAt(url: URL, { means, authorize }: Bucket): Promise<readonly RemoteFile[]> {
  let trouble: unknown = refused('No bucket answers there.');
  for (const { root, prefix } of placesOf(url)) {
    try {
      const found = await listObjects(root, prefix, means, authorize);
      if (found === undefined) continue;
      return found
        .filter(({ key }) => key.startsWith(prefix) && !key.endsWith('/'))
        .map(({ key, size, etag }) => {
          const at = new URL(root);
          at.pathname = `${root.pathname}${encodePath(key)}`;
          return { path: key.slice(prefix.length), url: at, size, etag, version: `${at.href} ${size} ${etag}` };
        });
    } catch (error) {
      if (!(error instanceof AgentError) || error.code !== 'input.refused') throw error;
      trouble = error;
    }
  }
  throw trouble;
}

/** Where the bucket may be, and what is in front of the names of its objects then: likeliest first. */
function placesOf(url: URL): readonly { readonly root: URL; readonly prefix: string }[] {
  const path = url.pathname.slice(1);
  const slash = path.indexOf('/');
  const byHost = { root: new URL('/', url), prefix: decoded(path) };
  if (slash < 0) return [byHost];
  const byPath = { root: new URL(`/${path.slice(0, slash + 1)}`, url), prefix: decoded(path.slice(slash + 1)) };
  const namesNoBucket = /^(s3[.-]|storage\.googleapis\.com$|[^.]+\.r2\.cloudflarestorage\.com$|[\d.]+$|localhost$|\[)/;
  return namesNoBucket.test(url.hostname) ? [byPath, byHost] : [byHost, byPath];
}

function encodePath(key: string): string {
  return key.split('/').map(encodeURIComponent).join('/');
}
