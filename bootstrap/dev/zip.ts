/** A zip archive without compression: all that a wheel needs, and nothing to install for it. */
import { crc32 } from 'node:zlib';

const VERSION = 20;
const UTF8_NAMES = 0x0800;
/** 1 January 1980, the first day that the format knows: archives of the same files are the same bytes. */
const FIRST_DAY = 0x21;
const REGULAR_FILE_0644 = 0o100644 * 2 ** 16;

/** Packs files (path → content) in the order given. */
export function storedZip(files: Readonly<Record<string, string>>): Buffer {
  const locals: Buffer[] = [];
  const entries: Buffer[] = [];
  let offset = 0;
  for (const [path, text] of Object.entries(files)) {
    const name = Buffer.from(path);
    const content = Buffer.from(text);
    const common = commonFields(name, content);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, name, content]);
    entries.push(centralEntry(common, name, offset));
    locals.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(entries);
  return Buffer.concat([...locals, central, endRecord(entries.length, central.length, offset)]);
}

/** The 26 bytes that the local header and the central entry share. */
function commonFields(name: Buffer, content: Buffer): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(VERSION, 0);
  fields.writeUInt16LE(UTF8_NAMES, 2);
  fields.writeUInt16LE(FIRST_DAY, 8);
  fields.writeUInt32LE(crc32(content), 10);
  fields.writeUInt32LE(content.length, 14);
  fields.writeUInt32LE(content.length, 18);
  fields.writeUInt16LE(name.length, 22);
  return fields;
}

function centralEntry(common: Buffer, name: Buffer, offset: number): Buffer {
  const madeBy = Buffer.alloc(2);
  madeBy.writeUInt8(VERSION, 0);
  madeBy.writeUInt8(3, 1);
  const rest = Buffer.alloc(14);
  rest.writeUInt32LE(REGULAR_FILE_0644, 6);
  rest.writeUInt32LE(offset, 10);
  return Buffer.concat([Buffer.from('PK\x01\x02', 'latin1'), madeBy, common, rest, name]);
}

function endRecord(count: number, size: number, offset: number): Buffer {
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 0, 'latin1');
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(size, 12);
  end.writeUInt32LE(offset, 16);
  return end;
}
