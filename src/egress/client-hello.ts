/**
 * What somebody says first who was let through to a place: a TLS ClientHello and the name in it, or the first line of an HTTP
 * request. Reads what has come so far, and never beyond its end.
 */

export type FirstBytes =
  /** It may become one of the others. */
  | { readonly kind: 'more' }
  /** `name` is in lower case without a dot at its end; undefined where the client names no host. */
  | { readonly kind: 'tls'; readonly name: string | undefined }
  | { readonly kind: 'http' }
  | { readonly kind: 'other' };

/** Most bytes that are waited for. A ClientHello has less than 4 KiB, with keys for which no computer is large enough. */
export const mostFirstBytes = 32 * 1024;

const more: FirstBytes = { kind: 'more' };
const other: FirstBytes = { kind: 'other' };
const handshakeRecord = 22;
const clientHello = 1;
const serverName = 0;
const hostName = 0;
const mostRecord = 16_384;

export function readFirstBytes(bytes: Buffer): FirstBytes {
  if (bytes.length === 0) return more;
  return bytes[0] === handshakeRecord ? readTls(bytes) : readRequestLine(bytes);
}

const lineEnd = 10;

/** Judges what comes part by part, and not again before as much has come as is missing at least: small parts cost no more than large ones. */
export class FirstBytesReader {
  #parts: Buffer[] = [];
  #length = 0;
  /** So many bytes are needed to say more than before. */
  #next = 1;

  /** All that has come. */
  get bytes(): Buffer {
    if (this.#parts.length > 1) this.#parts = [Buffer.concat(this.#parts)];
    return this.#parts[0] ?? Buffer.alloc(0);
  }

  add(part: Buffer): FirstBytes {
    this.#parts.push(part);
    this.#length += part.length;
    const isLine = this.#parts[0]?.[0] !== handshakeRecord && part.includes(lineEnd);
    if (this.#length < this.#next && !isLine) return more;
    const { bytes } = this;
    const first = readFirstBytes(bytes);
    if (first.kind !== 'more') return first;
    if (bytes.length > mostFirstBytes) return other;
    this.#next = Math.min(bytes.length + missingIn(bytes), mostFirstBytes + 1);
    return more;
  }
}

/** Of bytes that are not enough: how many more are needed at least; of a line, whose end is seen, as many again. */
function missingIn(bytes: Buffer): number {
  if (bytes[0] !== handshakeRecord) return Math.max(1, bytes.length);
  return Math.max(1, recordsOf(bytes)?.left ?? 1);
}

function readTls(bytes: Buffer): FirstBytes {
  const records = recordsOf(bytes);
  if (!records) return other;
  const message = Buffer.concat(records.fragments);
  if (message.length > 0 && message[0] !== clientHello) return other;
  if (message.length < 4) return more;
  const length = 4 + message.readUIntBE(1, 3);
  // What stands behind it in its last record would be read by nobody before the answer: a client that sends it is none.
  if (length > mostFirstBytes || message.length > length) return other;
  return message.length < length ? more : readHello(message);
}

interface Records {
  readonly fragments: readonly Buffer[];
  /** Bytes of the first message that are not there yet. */
  readonly left: number;
}

/**
 * What is in the records of the first message, the last of which may have a part only; undefined where they are no records of a
 * handshake. Behind them stands whatever the client says before it has an answer.
 */
function recordsOf(bytes: Buffer): Records | undefined {
  const fragments: Buffer[] = [];
  let have = 0;
  let length: number | undefined;
  let left = 4;
  for (let at = 0; at < bytes.length && left > 0; ) {
    const [kind, major = 3] = bytes.subarray(at, at + 2);
    if (kind !== handshakeRecord || major !== 3) return undefined;
    if (bytes.length < at + 5) break;
    const size = bytes.readUInt16BE(at + 3);
    if (size === 0 || size > mostRecord) return undefined;
    const fragment = bytes.subarray(at + 5, at + 5 + size);
    fragments.push(fragment);
    have += fragment.length;
    at += 5 + size;
    if (have >= 4) length ??= 4 + Buffer.concat(fragments).readUIntBE(1, 3);
    left = (length ?? 4) - have;
  }
  return { fragments, left };
}

/** Reads fields one after another; beyond the end there is nothing but an error. */
class Fields {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError('beyond the end');
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  number(bytes: 1 | 2): number {
    return this.take(bytes).readUIntBE(0, bytes);
  }

  /** With its length in so many bytes before it. */
  vector(bytes: 1 | 2): Buffer {
    return this.take(this.number(bytes));
  }
}

function readHello(message: Buffer): FirstBytes {
  try {
    return { kind: 'tls', name: nameIn(message.subarray(4)) };
  } catch (error) {
    if (error instanceof RangeError) return other;
    throw error;
  }
}

/** The one host name; throws a `RangeError` where the message is not what it should be, or has two. */
function nameIn(body: Buffer): string | undefined {
  const hello = new Fields(body);
  hello.take(2 + 32);
  hello.vector(1);
  hello.vector(2);
  hello.vector(1);
  if (hello.isAtEnd) return undefined;
  const extensions = new Fields(hello.vector(2));
  if (!hello.isAtEnd) throw new RangeError('behind the extensions');
  const names: string[] = [];
  while (!extensions.isAtEnd) {
    const kind = extensions.number(2);
    const content = extensions.vector(2);
    if (kind === serverName) names.push(hostIn(content));
  }
  if (names.length > 1) throw new RangeError('named twice');
  return names[0];
}

function hostIn(content: Buffer): string {
  const fields = new Fields(content);
  const list = new Fields(fields.vector(2));
  if (!fields.isAtEnd || list.number(1) !== hostName) throw new RangeError('no host name');
  const name = list.vector(2);
  if (!list.isAtEnd || !name.every((byte) => byte > 0x20 && byte < 0x7f)) throw new RangeError('no plain host name');
  return name.toString('latin1').toLowerCase().replace(/\.$/, '');
}

const wholeLine = /^[A-Z]{1,20} [^\s]{1,16384} HTTP\/1\.[01]\r?\n/;
const begunLine = /^[A-Z]{1,20}( [^\s]{0,16384}( (H(T(T(P(\/(1(\.([01]\r?)?)?)?)?)?)?)?)?)?)?$/;

function readRequestLine(bytes: Buffer): FirstBytes {
  const text = bytes.toString('latin1', 0, mostFirstBytes);
  if (wholeLine.test(text)) return { kind: 'http' };
  return begunLine.test(text) ? more : other;
}
