/** One file of a web server, named after the end of its URL. */
import { anonymous } from '../client.ts';
import type { ResolvedSource } from '../job-inputs.ts';
import type { RemoteSource } from '../remote-file.ts';
import { refused } from '../trouble.ts';
import type { SourceMeans } from './means.ts';
import { probe } from './probe.ts';

export async function findOnWeb(
  { url: text, sha256 }: Extract<ResolvedSource, { kind: 'http' }>,
  means: SourceMeans,
): Promise<RemoteSource> {
  const url = readUrl(text, means.credential);
  const path = decoded(url.pathname.split('/').at(-1) ?? '') || 'download';
  const facts = await probe(url, means);
  const file = sha256
    ? {
        ...facts,
        version: `${url.origin}${url.pathname} ${sha256}`,
        checksum: { algorithm: 'sha256', hex: sha256 } as const,
      }
    : facts;
  return { files: [{ path, url, ...file }], authorize: anonymous };
}

/** With the query that came sealed, if one did. */
export function readUrl(text: string, { query }: SourceMeans['credential'] = {}): URL {
  const whole = query === undefined ? text : `${text}?${query}`;
  if (!URL.canParse(whole)) throw refused('It is no URL.');
  const url = new URL(whole);
  url.hash = '';
  return url;
}

export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
