/** What a web server says of one file, asked in the way in which the file is fetched: many links are good for GET only. */
import { type Authorize, anonymous } from '../client.ts';
import type { RemoteFile } from '../remote-file.ts';
import type { SourceMeans } from './means.ts';

type Facts = Pick<RemoteFile, 'version' | 'size' | 'etag'>;

export async function probe(
  url: URL,
  means: Pick<SourceMeans, 'client' | 'signal'>,
  authorize: Authorize = anonymous,
): Promise<Facts> {
  const { client, signal } = means;
  const answer = await client.ask({ url, authorize, signal, headers: { range: 'bytes=0-0' }, also: [416] });
  answer.destroy();
  const { etag, 'last-modified': modified, 'content-length': length, 'content-range': range } = answer.headers;
  const total = answer.statusCode === 200 ? length : /\/(\d+)$/.exec(range ?? '')?.[1];
  const size = total === undefined ? undefined : Number(total);
  // One that is weak may stand for other bytes.
  const strong = etag?.startsWith('W/') ? undefined : etag;
  const mark = etag ?? modified;
  return { size, etag: strong, version: mark === undefined ? undefined : `${url.href} ${size} ${mark}` };
}
