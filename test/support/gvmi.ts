/** Images as Golem has them: a squashfs, and behind it what the image says of itself. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { fillTiny } from '../../bootstrap/dev/images/tiny.ts';
import { ensureSquashfsTools } from '../../bootstrap/dev/squashfs.ts';
import { type TarItem, tarOfItems } from './tar-items.ts';

export interface GvmiConfig {
  readonly Env?: unknown;
  readonly WorkingDir?: unknown;
  readonly Cmd?: unknown;
  readonly User?: unknown;
}

export interface Gvmi {
  readonly bytes: Buffer;
  /** `sha3:…`, of 256 bits. */
  readonly hash: string;
}

/** A small system with a shell and what is added to it. */
export async function tinyGvmi(config: GvmiConfig | undefined, added: readonly TarItem[] = []): Promise<Gvmi> {
  const root = mkdtempSync(join(tmpdir(), 'gvmi-root-'));
  try {
    await fillTiny(root);
    const tar = spawn('tar', ['-C', root, '--owner=0', '--group=0', '--numeric-owner', '-cf', '-', '.'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const parts: Buffer[] = [];
    for await (const part of tar.stdout) parts.push(part as Buffer);
    const rest = await tarOfItems(added);
    // Without the blocks of zeros that end it, so that what is added is read as well.
    const own = withoutEnd(Buffer.concat(parts));
    return gvmiOf(withTail(await squashfsOf(Buffer.concat([own, rest])), config));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function withoutEnd(tar: Buffer): Buffer {
  let end = tar.length;
  while (end >= 512 && tar.subarray(end - 512, end).every((byte) => byte === 0)) end -= 512;
  return tar.subarray(0, end);
}

export async function squashfsOf(tar: Buffer): Promise<Buffer> {
  await ensureSquashfsTools();
  const folder = mkdtempSync(join(tmpdir(), 'gvmi-'));
  try {
    const file = join(folder, 'image.sqfs');
    const child = spawn('tar2sqfs', ['-q', '-c', 'gzip', file], { stdio: ['pipe', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (text) => {
      said += String(text);
    });
    const ended = once(child, 'close');
    await pipeline(Readable.from([tar]), child.stdin);
    const [code] = await ended;
    if (code !== 0) throw new Error(`tar2sqfs ended with ${code}: ${said}`);
    return readFileSync(file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** As gvmkit-build writes it: checksum, JSON and its length. */
export function withTail(squashfs: Buffer, config: unknown): Buffer {
  if (config === undefined) return squashfs;
  const json = Buffer.from(JSON.stringify(config));
  const crc = Buffer.alloc(4);
  crc.writeUInt32LE(crc32(json));
  return Buffer.concat([squashfs, crc, json, Buffer.from(String(json.length).padStart(8, '0'))]);
}

export function gvmiOf(bytes: Buffer, bits: 224 | 256 | 384 | 512 = 256): Gvmi {
  return { bytes, hash: `sha3:${createHash(`sha3-${bits}`).update(bytes).digest('hex')}` };
}
