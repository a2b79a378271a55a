/** Sends a file, or the part of it that was asked for (RFC 9110, 13 and 14). */
import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import type { Streamed } from '../http/route.ts';
import { type Seat, seated } from '../http/seats.ts';
import { partAsked } from './ranges.ts';

export interface FileSource {
  readonly size: number;
  /** Strong, with its quotes. */
  readonly etag: string;
  /** Bytes from `start` to `end`, both included. */
  read(start: number, end: number): Promise<Readable>;
}

export interface FileManner {
  /** Of the request. */
  readonly headers: IncomingHttpHeaders;
  /** Of the answer. */
  readonly more: Readonly<Record<string, string>>;
  /** Takes a place for as long as it is sent; undefined where it needs none. */
  readonly seat?: (() => Seat) | undefined;
}

export async function sendFile(source: FileSource, { headers, more, seat }: FileManner): Promise<Streamed> {
  const { etag, size } = source;
  const common = { etag, 'accept-ranges': 'bytes', ...more };
  const answered = { contentType: 'application/octet-stream', isKnown: true };
  const nothing = (status: number, others: Record<string, string> = {}): Streamed => ({
    ...{ ...answered, status, headers: { ...common, ...others }, body: Readable.from([]) },
  });
  if (headers['if-none-match'] === etag) return nothing(304);
  const part = partAsked({ range: headers.range, 'if-range': one(headers['if-range']) }, source);
  if (part.kind === 'unsatisfiable') return nothing(416, { 'content-range': `bytes */${size}` });
  const { start, end } = part.kind === 'all' ? { start: 0, end: size - 1 } : part;
  const range = part.kind === 'all' ? {} : { 'content-range': `bytes ${start}-${end}/${size}` };
  const open = () => source.read(start, end);
  const taken = size === 0 ? undefined : seat?.();
  const body = size === 0 ? Readable.from([]) : await (taken ? seated(taken, open) : open());
  return {
    ...{ ...answered, status: part.kind === 'all' ? 200 : 206, body },
    headers: { ...common, ...range, 'content-length': String(end - start + 1) },
  };
}

function one(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
