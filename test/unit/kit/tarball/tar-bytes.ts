/** Tars byte by byte, also such as no program would write. */

export interface Part {
  readonly name?: string | Buffer;
  readonly type?: string;
  readonly link?: string | Buffer;
  readonly content?: string | Buffer;
  /** What its header says, whatever its content is. */
  readonly size?: number | string;
  readonly mode?: number;
  readonly magic?: string;
  readonly prefix?: string;
  /** The checksum of another header. */
  readonly isBroken?: boolean;
}

export const zeros = Buffer.alloc(1024);

/** All parts and the end of the archive. */
export function tarOf(...parts: readonly Part[]): Buffer {
  return Buffer.concat([...parts.map(partOf), zeros]);
}

export function partOf(part: Part): Buffer {
  const { name = 'file', type = '0', link = '', content = '', mode = 0o644, magic = 'ustar\x0000', prefix = '' } = part;
  const body = Buffer.from(content);
  const header = Buffer.alloc(512);
  const size = part.size ?? body.length;
  Buffer.from(name).copy(header, 0, 0, 100);
  header.write(`${mode.toString(8).padStart(7, '0')}\0`, 100);
  header.write(typeof size === 'string' ? size : `${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  header.write('14371535200\0', 136);
  header.write(' '.repeat(8), 148);
  header.write(type, 156, 'latin1');
  Buffer.from(link).copy(header, 157, 0, 100);
  header.write(magic, 257, 'latin1');
  header.write(prefix, 345);
  const sum = header.reduce((all, byte) => all + byte, 0) + (part.isBroken ? 1 : 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

/** A header before another one, with these records. */
export function pax(records: readonly (readonly [string, string])[], type = 'x'): Part {
  const lines = records.map(([key, value]) => {
    const rest = Buffer.byteLength(` ${key}=${value}\n`);
    const length = [1, 2, 3, 4].map((digits) => rest + digits).find((all) => String(all).length + rest === all);
    return `${length} ${key}=${value}\n`;
  });
  return { name: 'pax', type, content: lines.join('') };
}
