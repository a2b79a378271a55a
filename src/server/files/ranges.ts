/** The part of a file that a request asks for (RFC 9110, 14): one range, or all of it. */

export interface Part {
  readonly start: number;
  /** Last byte, included. */
  readonly end: number;
}

export type Asked = { readonly kind: 'all' } | ({ readonly kind: 'part' } & Part) | { readonly kind: 'unsatisfiable' };

/** What is no single range of bytes is taken for nothing, as the RFC wants it; so is one of another file (`If-Range`). */
export function partAsked(
  { range, 'if-range': ifRange }: { readonly range?: string | undefined; readonly 'if-range'?: string | undefined },
  { size, etag }: { readonly size: number; readonly etag: string },
): Asked {
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(range ?? '') ?? [];
  if (first === undefined || last === undefined || first + last === '') return { kind: 'all' };
  if (ifRange !== undefined && ifRange !== etag) return { kind: 'all' };
  if (first === '') {
    const start = Math.max(0, size - Number(last));
    return start < size ? { kind: 'part', start, end: size - 1 } : { kind: 'unsatisfiable' };
  }
  const start = Number(first);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== '' && Number(last) < start) return { kind: 'all' };
  return start < size ? { kind: 'part', start, end } : { kind: 'unsatisfiable' };
}
