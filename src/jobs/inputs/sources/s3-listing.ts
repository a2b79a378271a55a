/** Lists what is in a bucket, page by page (ListObjectsV2). */
import type { Authorize } from '../client.ts';
import { mostFiles } from '../remote-file.ts';
import { refused } from '../trouble.ts';
import type { SourceMeans } from './means.ts';

export interface S3Object {
  readonly key: string;
  readonly size: number;
  readonly etag: string;
}

/** Undefined where what answers is no list of a bucket, so that the bucket is named elsewhere in the URL. */
export async function listObjects(
  bucket: URL,
  prefix: string,
  { client, signal }: SourceMeans,
  authorize: Authorize,
): Promise<readonly S3Object[] | undefined> {
  const found: S3Object[] = [];
  for (let token: string | undefined; ; ) {
    const url = new URL(bucket);
    const query = { 'list-type': '2', 'encoding-type': 'url', prefix, ...(token && { 'continuation-token': token }) };
    // Signatures want %20 where a form would have a plus.
    url.search = new URLSearchParams(query).toString().replaceAll('+', '%20');
    const { body } = await client.read({ url, authorize, signal });
    const text = body.toString();
    if (!/<ListBucketResult[\s>]/.test(text)) return;
    for (const object of objectsOf(text)) found.push(object);
    if (found.length > mostFiles) throw refused(`The bucket has more than ${mostFiles} objects there.`);
    const next = textOf(text, 'NextContinuationToken');
    if (textOf(text, 'IsTruncated') !== 'true') return found;
    if (next === undefined || next === token) throw refused('The list of the bucket has no end.');
    token = next;
  }
}

function objectsOf(list: string): S3Object[] {
  const isEncoded = textOf(list, 'EncodingType') === 'url';
  // Each piece is looked through once: an expression would look for the end of each beginning in all that follows.
  const [, ...pieces] = list.split('<Contents>');
  return pieces.map((piece) => {
    const entry = piece.slice(0, Math.max(0, piece.indexOf('</Contents>')));
    const key = textOf(entry, 'Key') ?? '';
    const size = Number(textOf(entry, 'Size'));
    const etag = textOf(entry, 'ETag');
    if (!Number.isSafeInteger(size) || etag === undefined) throw refused('The list of the bucket cannot be read.');
    return { key: isEncoded ? decodeURIComponent(key.replaceAll('+', ' ')) : key, size, etag };
  });
}

/** The texts of these lists are flat: an element holds text alone. */
function textOf(xml: string, name: string): string | undefined {
  const inside = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return inside?.replaceAll(/&(amp|lt|gt|quot|apos|#\d+|#x[0-9a-f]+);/gi, (_all, entity: string) =>
    characterOf(entity),
  );
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function characterOf(entity: string): string {
  const named = entities[entity.toLowerCase()];
  if (named !== undefined) return named;
  return String.fromCodePoint(Number(/^#x/i.test(entity) ? `0${entity.slice(1)}` : entity.slice(1)));
}
