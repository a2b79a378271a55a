/**
 * A GVMI image: a squashfs, and behind it what its image says of itself.
 *
 *   squashfs │ padding │ CRC-32 (4 bytes, little endian) │ JSON │ its length, 8 decimal digits
 *
 * The JSON is a container's configuration as an engine tells it. Of it only `Env` and `WorkingDir` are taken, each as far as it is well
 * formed; a tail that is no such tail says nothing, as a squashfs alone is an image as well.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { AgentError } from '../../contract/failures.ts';
import { judge } from '../../contract/validate.ts';
import { ImageConfig, maxConfigLength } from '../../policy/image-config.ts';

const superblockBytes = 96;
const magic = 'hsqs';
const lengthBytes = 8;
const crcBytes = 4;
const mostTailBytes = 1024 * 1024;

/** `payload.unreadable` for what is no whole squashfs. */
export async function readGvmi(file: string): Promise<ImageConfig> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const block = await read(handle, 0, superblockBytes);
    if (size < superblockBytes || block.toString('latin1', 0, 4) !== magic) {
      throw unreadable('It is no squashfs: it does not begin as one.');
    }
    const [major, minor] = [block.readUInt16LE(28), block.readUInt16LE(30)];
    if (major !== 4 || minor !== 0) throw unreadable(`It is a squashfs of version ${major}.${minor}, and not 4.0.`);
    const used = block.readBigUInt64LE(40);
    if (used > BigInt(size) || used < BigInt(superblockBytes)) {
      throw unreadable(`It says that it has ${used} bytes, and has ${size}.`);
    }
    return configOf(await readTail(handle, Number(used), size));
  } finally {
    await handle.close();
  }
}

export function unreadable(reason: string, cause?: unknown): AgentError {
  return new AgentError('payload.unreadable', { reason }, { cause });
}

/** Undefined where there is none. */
async function readTail(handle: FileHandle, from: number, size: number): Promise<unknown> {
  if (size - from < lengthBytes + crcBytes) return undefined;
  const digits = (await read(handle, size - lengthBytes, lengthBytes)).toString('latin1');
  const length = /^\d{8}$/.test(digits) ? Number(digits) : 0;
  const start = size - lengthBytes - length - crcBytes;
  if (length === 0 || length > mostTailBytes || start < from) return undefined;
  const tail = await read(handle, start, crcBytes + length);
  const json = tail.subarray(crcBytes);
  if (crc32(json) !== tail.readUInt32LE(0)) return undefined;
  try {
    return JSON.parse(json.toString('utf8'));
  } catch {
    return undefined;
  }
}

function configOf(told: unknown): ImageConfig {
  const { Env, WorkingDir } = (typeof told === 'object' && told !== null ? told : {}) as Record<string, unknown>;
  const entries = (Array.isArray(Env) ? (Env as unknown[]) : []).filter(
    (entry) => judge(ImageConfig.properties.env.items, entry).ok,
  );
  const folder = judge(ImageConfig.properties.work_dir, WorkingDir);
  const own = folder.ok && folder.value !== undefined ? { work_dir: folder.value } : {};
  const judged = judge(ImageConfig, { env: entries, ...own });
  const isShort = judged.ok && Buffer.byteLength(JSON.stringify(judged.value)) <= maxConfigLength;
  return isShort ? judged.value : { env: [], ...own };
}

async function read(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead).length === length ? buffer : Buffer.alloc(length);
}
