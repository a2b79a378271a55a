/** As much of DER as it takes to read the extensions of a certificate that OpenSSL has read before. */

interface Element {
  readonly tag: number;
  readonly body: Uint8Array;
}

/** What a certificate says about the use of its key; undefined where it says nothing. */
export interface Extensions {
  readonly isCa: boolean;
  /** Most certificates of authorities below it, down to the one of the signer. */
  readonly pathLength: number | undefined;
  readonly keyUsage: { readonly signs: boolean; readonly signsCertificates: boolean } | undefined;
  /** That must be understood, and are not: hex of their object identifiers. */
  readonly unknown: readonly string[];
}

const oids = { keyUsage: '551d0f', names: '551d11', constraints: '551d13', policies: '551d20', purposes: '551d25' };
const known: ReadonlySet<string> = new Set(Object.values(oids));
const tags = { boolean: 0x01, integer: 0x02, extensions: 0xa3 };

/** Throws a `RangeError` for what is no DER. */
export function readExtensions(certificate: Uint8Array): Extensions {
  const extensions = listOf(certificate).map((each) => {
    const parts = elementsOf(each.body);
    const [oid, value] = [parts[0], parts.at(-1)];
    const isCritical = parts.length === 3 && parts[1]?.tag === tags.boolean && parts[1].body[0] !== 0;
    return { oid: hex(oid?.body), isCritical, value: value?.body ?? new Uint8Array() };
  });
  const contentOf = (oid: string) => extensions.find((each) => each.oid === oid)?.value;
  const [constraints, usage] = [contentOf(oids.constraints), contentOf(oids.keyUsage)];
  return {
    ...readConstraints(constraints),
    keyUsage: usage && readUsage(usage),
    unknown: extensions.filter(({ oid, isCritical }) => isCritical && !known.has(oid)).map(({ oid }) => oid),
  };
}

function listOf(certificate: Uint8Array): Element[] {
  const [signed] = elementsOf(first(certificate).body);
  const holder = elementsOf(signed?.body ?? new Uint8Array()).find(({ tag }) => tag === tags.extensions);
  return holder ? elementsOf(first(holder.body).body) : [];
}

function readConstraints(value: Uint8Array | undefined): Pick<Extensions, 'isCa' | 'pathLength'> {
  const parts = value ? elementsOf(first(value).body) : [];
  const length = parts.find(({ tag }) => tag === tags.integer)?.body;
  return {
    isCa: parts.some(({ tag, body }) => tag === tags.boolean && body[0] !== 0),
    pathLength: length?.reduce((sum, byte) => sum * 256 + byte, 0),
  };
}

/** A string of bits: the first byte says how many of the last one count. */
function readUsage(value: Uint8Array): NonNullable<Extensions['keyUsage']> {
  const bits = first(value).body[1] ?? 0;
  const [digitalSignature, nonRepudiation, keyCertSign] = [0x80, 0x40, 0x04];
  return {
    signs: (bits & (digitalSignature | nonRepudiation)) !== 0,
    signsCertificates: (bits & keyCertSign) !== 0,
  };
}

function first(bytes: Uint8Array): Element {
  const [element] = elementsOf(bytes);
  if (!element) throw new RangeError('nothing is there');
  return element;
}

function elementsOf(bytes: Uint8Array): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { length, start } = lengthAt(bytes, at + 1);
    if (start + length > bytes.length) throw new RangeError('ends too soon');
    found.push({ tag: bytes[at] ?? 0, body: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return found;
}

function lengthAt(bytes: Uint8Array, at: number): { readonly length: number; readonly start: number } {
  const short = bytes[at] ?? 0x80;
  if (short < 0x80) return { length: short, start: at + 1 };
  const count = short - 0x80;
  if (count === 0 || count > 4) throw new RangeError('has a length that DER does not have');
  const start = at + 1 + count;
  const length = bytes.subarray(at + 1, start).reduce((sum, byte) => sum * 256 + byte, 0);
  return { length, start };
}

function hex(bytes: Uint8Array = new Uint8Array()): string {
  return Buffer.from(bytes).toString('hex');
}
