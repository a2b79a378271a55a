/** The blocks of a tar as the formats v7, ustar, pax and GNU write them; what two programs could read differently is refused. */
import { textOf } from './judge-path.ts';

export const blockBytes = 512;

/** What is wrong with a header, as a clause. */
export class HeaderTrouble extends Error {}

export interface Header {
  readonly type: string;
  readonly path: Buffer;
  readonly target: Buffer;
  readonly mode: number;
  readonly size: number;
}

/** What a header before another one says of that. */
export interface Overrides {
  path?: Buffer;
  target?: Buffer;
  size?: number;
}

/** Undefined for a block of zeros, which is where a tar ends. Throws `HeaderTrouble`. */
export function readHeader(block: Buffer): Header | undefined {
  if (isZero(block)) return undefined;
  if (checksum(block) !== number(block, 148, 8)) throw new HeaderTrouble('has a header whose checksum is wrong');
  const magic = block.toString('latin1', 257, 263);
  if (magic !== 'ustar\0' && magic !== 'ustar ' && magic !== '\0'.repeat(6)) {
    throw new HeaderTrouble('has a header of no known format');
  }
  const name = string(block, 0, 100);
  const prefix = magic === 'ustar\0' ? string(block, 345, 155) : Buffer.alloc(0);
  const type = String.fromCharCode(block[156] as number);
  const path = prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name]);
  return {
    type: type === '\0' ? '0' : type,
    ...{ path, target: string(block, 157, 100), mode: number(block, 100, 8), size: number(block, 124, 12) },
  };
}

/** When what a header is of was written to, in seconds since 1970. Throws `HeaderTrouble`. */
export function readTime(block: Buffer): number {
  return number(block, 136, 12);
}

export function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Says nothing about content, or nothing that is kept. */
const ignored = new Set([
  'uid',
  'gid',
  'uname',
  'gname',
  'mtime',
  'atime',
  'ctime',
  'comment',
  'charset',
  'hdrcharset',
]);

/** Of a vendor, and it says what the content is, or that it is not all here. */
const meaningful = /^(GNU\.(sparse|volume|dumpdir)|SCHILY\.(realsize|filetype|offset|archtype|volhdr))/;

/** The records of a pax header. Throws `HeaderTrouble` for one that cannot be understood and for one that is not to be ignored. */
export function readPax(bytes: Buffer, isGlobal: boolean): Overrides {
  const found: Overrides = {};
  for (let rest = bytes; rest.length > 0; ) {
    const digits = /^([1-9]\d{0,7}) /.exec(rest.toString('latin1', 0, 10))?.[1];
    const length = Number(digits ?? 0);
    const record = rest.subarray((digits?.length ?? 0) + 1, length - 1);
    const equals = record.indexOf('=');
    if (!digits || length > rest.length || rest[length - 1] !== 0x0a || equals < 1) {
      throw new HeaderTrouble('has a pax header that cannot be read');
    }
    take(found, record.toString('utf8', 0, equals), record.subarray(equals + 1), isGlobal);
    rest = rest.subarray(length);
  }
  return found;
}

function take(found: Overrides, key: string, value: Buffer, isGlobal: boolean): void {
  const field = { path: 'path', linkpath: 'target', size: 'size' }[key] as keyof Overrides | undefined;
  if (field === undefined) {
    const isVendors = key.includes('.') && !meaningful.test(key);
    if (!ignored.has(key) && !isVendors)
      throw new HeaderTrouble(`has a pax header with ${JSON.stringify(key.slice(0, 60))}`);
    return;
  }
  if (isGlobal) throw new HeaderTrouble(`has a ${key} for all files at once`);
  if (found[field] !== undefined) throw new HeaderTrouble(`has two records of its ${key}`);
  if (field === 'size') found.size = sizeOf(value);
  else found[field] = value;
}

/** The name in the body of one of GNU's headers for long names, which a NUL ends. */
export function readLongName(bytes: Buffer): Buffer {
  return bytes.at(-1) === 0 ? bytes.subarray(0, -1) : bytes;
}

function sizeOf(value: Buffer): number {
  const text = textOf(value) ?? '';
  if (!/^\d{1,15}$/.test(text)) throw new HeaderTrouble('has a pax header with a size that is no number');
  return Number(text);
}

function checksum(block: Buffer): number {
  let sum = 0;
  for (let index = 0; index < blockBytes; index += 1)
    sum += index >= 148 && index < 156 ? 32 : (block[index] as number);
  return sum;
}

/** Up to its NUL, behind which nothing may be hidden. */
function string(block: Buffer, at: number, length: number): Buffer {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  if (end === -1) return Buffer.from(field);
  // All of it, so that whoever judges it finds the NUL in its middle.
  return Buffer.from(isZero(field.subarray(end)) ? field.subarray(0, end) : field);
}

function number(block: Buffer, at: number, length: number): number {
  const field = block.subarray(at, at + length);
  if (((field[0] as number) & 0x80) !== 0) return binary(field);
  const digits = /^ *([0-7]*)[ \0]*$/.exec(field.toString('latin1'))?.[1];
  if (digits === undefined) throw new HeaderTrouble('has a header with a number that cannot be read');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

/** GNU's way for what is too large for the digits. */
function binary(field: Buffer): number {
  const value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
  if (field[0] !== 0x80 || value > Number.MAX_SAFE_INTEGER) {
    throw new HeaderTrouble('has a header with a number that is negative or too large');
  }
  return value;
}
