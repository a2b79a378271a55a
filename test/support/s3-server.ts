/**
 * An object store on loopback that speaks S3 as the real ones do: ListObjectsV2 in pages, ranges, errors as XML, and signatures
 * (AWS Signature Version 4), computed here from Amazon's description and not by what the product signs with.
 */
import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AwsV4Signer } from 'aws4fetch';
import { type Content, type LoopbackSource, loopbackSource, sendContent } from './loopback-source.ts';

export interface S3Bucket {
  readonly name: string;
  readonly objects: Readonly<Record<string, Content>>;
  /** Who may read it; everybody where there is none. */
  readonly key?: { readonly id: string; readonly secret: string; readonly region: string };
  /** False where objects may be read and not listed. */
  readonly isListed?: boolean;
}

export interface S3Style {
  /** Where the bucket is named: in the path, as MinIO has it, or by the host, where the server has this one bucket. */
  readonly style: 'path' | 'host';
  readonly pageSize?: number;
}

export function s3Server(buckets: readonly S3Bucket[], { style, pageSize = 1000 }: S3Style): Promise<LoopbackSource> {
  return loopbackSource(async (request, response, url) => {
    const path = decodeURIComponent(url.pathname).slice(1);
    const slash = path.indexOf('/');
    const [name, key] =
      style === 'host'
        ? [buckets[0]?.name, path]
        : slash < 0
          ? [path, '']
          : [path.slice(0, slash), path.slice(slash + 1)];
    if (name === '') {
      refuse(response, 403, 'AccessDenied');
      return;
    }
    const bucket = buckets.find((each) => each.name === name);
    if (!bucket) refuse(response, 404, 'NoSuchBucket');
    else if (!isAllowed(request, url, bucket)) refuse(response, 403, 'SignatureDoesNotMatch');
    else if (key === '') list(response, url, bucket, pageSize);
    else if (bucket.objects[key]) await sendContent(request, response, bucket.objects[key]);
    else if (bucket.isListed === false) refuse(response, 403, 'AccessDenied');
    else refuse(response, 404, 'NoSuchKey');
  });
}

function list(
  response: ServerResponse,
  url: URL,
  { name, objects, isListed = true }: S3Bucket,
  pageSize: number,
): void {
  if (!isListed) {
    refuse(response, 403, 'AccessDenied');
    return;
  }
  const query = url.searchParams;
  const [prefix, token] = [query.get('prefix') ?? '', query.get('continuation-token')];
  const spell = query.get('encoding-type') === 'url' ? (text: string) => encodeURIComponent(text) : xmlOf;
  const after = token === null ? '' : Buffer.from(token, 'base64').toString();
  const keys = Object.keys(objects)
    .filter((key) => key.startsWith(prefix) && key > after)
    .sort();
  const page = keys.slice(0, pageSize);
  const isTruncated = keys.length > page.length;
  const contents = page.map(
    (key) =>
      `<Contents><Key>${spell(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>` +
      `<ETag>${xmlOf(objects[key]?.etag ?? '')}</ETag><Size>${objects[key]?.size}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
  );
  const next = Buffer.from(page.at(-1) ?? '').toString('base64');
  sendXml(
    response,
    200,
    `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>${name}</Name><Prefix>${spell(prefix)}</Prefix>` +
      `<KeyCount>${page.length}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>${isTruncated}</IsTruncated>` +
      `${query.has('encoding-type') ? '<EncodingType>url</EncodingType>' : ''}${contents.join('')}` +
      `${isTruncated ? `<NextContinuationToken>${next}</NextContinuationToken>` : ''}</ListBucketResult>`,
  );
}

function refuse(response: ServerResponse, status: number, code: string): void {
  sendXml(response, status, `<Error><Code>${code}</Code><Message>${code}</Message><RequestId>1</RequestId></Error>`);
}

function sendXml(response: ServerResponse, status: number, xml: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(`<?xml version="1.0" encoding="UTF-8"?>\n${xml}`);
}

function xmlOf(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** Without a signature nothing but a public bucket may be read; with one, in a header or in a link, it has to be right there too. */
function isAllowed(request: IncomingMessage, url: URL, { key }: S3Bucket): boolean {
  const { authorization = authorizationIn(url) } = request.headers;
  if (authorization === undefined) return key === undefined;
  const parts =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  const [, id = '', day = '', region = '', signed = '', signature] = parts ?? [];
  if (!key || id !== key.id || region !== key.region || !signed.split(';').includes('host')) return false;
  const time = String(request.headers['x-amz-date'] ?? url.searchParams.get('X-Amz-Date'));
  const strict = (text: string) =>
    encodeURIComponent(text).replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  const canonical = [
    request.method,
    decodeURIComponent(url.pathname).split('/').map(strict).join('/'),
    [...url.searchParams]
      .filter(([name]) => name !== 'X-Amz-Signature')
      .map(([name, value]) => `${strict(name)}=${strict(value)}`)
      .sort()
      .join('&'),
    ...signed.split(';').map((name) => `${name}:${String(request.headers[name]).trim()}`),
    '',
    signed,
    request.headers['x-amz-content-sha256'] ?? 'UNSIGNED-PAYLOAD',
  ].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const hash = createHash('sha256').update(canonical).digest('hex');
  const hmac = (secret: string | Buffer, text: string) => createHmac('sha256', secret).update(text).digest();
  const signingKey = [day, region, 's3', 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${key.secret}`);
  return hmac(signingKey, ['AWS4-HMAC-SHA256', time, scope, hash].join('\n')).toString('hex') === signature;
}

/** What a signed link says in its query, as the header would say it. */
function authorizationIn({ searchParams: query }: URL): string | undefined {
  const [credential, signed, signature] = ['Credential', 'SignedHeaders', 'Signature'].map((name) =>
    query.get(`X-Amz-${name}`),
  );
  if (signature === null) return;
  return `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${signed}, Signature=${signature}`;
}

/** A link to an object, good for a day, as the tools of its owner make it. */
export async function linkTo(url: string, { id, secret, region }: NonNullable<S3Bucket['key']>, day: string) {
  const signer = new AwsV4Signer({
    ...{ url: `${url}?X-Amz-Expires=86400`, accessKeyId: id, secretAccessKey: secret, region },
    ...{ service: 's3', signQuery: true, datetime: `${day}T000000Z` },
  });
  return (await signer.sign()).url.href;
}
