/** Images that are downloaded by their hash: from whom, how far, and what is believed. */
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { AgentError } from '../../../../src/contract/failures.ts';
import { gvmiOf } from '../../../support/gvmi.ts';
import { inputsGround } from '../../../support/inputs-ground.ts';
import { contentOf, cutAfter, status } from '../../../support/loopback-source.ts';
import { type MirrorKind, type Mirrors, mirrorsOf } from '../../../support/mirrors.ts';

const mebibyte = 1024 * 1024;
const never = () => AbortSignal.timeout(20_000);

interface Wanted {
  readonly hash: string;
  readonly urls: readonly string[];
  readonly maxBytes?: number;
}

function ground(options: Parameters<typeof inputsGround>[0] = {}) {
  const made = inputsGround({ idleMs: 500, ...options });
  const told: { bytes: number; bytes_total: number | undefined; url: string }[] = [];
  const get = async ({ maxBytes = 64 * mebibyte, ...payload }: Wanted, signal = never()) =>
    await made.inputs.withPayload(
      { ...payload, maxBytes },
      { signal, onProgress: (now) => void told.push(now) },
      async (file) => ({
        file,
        bytes: readFileSync(file),
      }),
    );
  return { ...made, get, told };
}

async function mirrors(size = mebibyte) {
  const bytes = randomBytes(size);
  return { ...gvmiOf(bytes), at: await mirrorsOf(bytes) };
}

const urls = (at: Mirrors, ...kinds: MirrorKind[]) => kinds.map((kind) => at.url(kind));
const failure = async (work: Promise<unknown>) =>
  (await work.then(
    () => undefined,
    (error: AgentError) => error,
  )) as AgentError;

describe('an image that is downloaded', () => {
  it('comes from the first address that gives what its hash promises (M-13)', async () => {
    const { at, hash, bytes } = await mirrors();
    const { get, told, dir } = ground();

    const { bytes: got } = await get({ hash, urls: urls(at, 'gone', 'stalls', 'lies', 'other', 'good') });

    expect(got.equals(bytes)).toBe(true);
    expect(told.map(({ url }) => url)).toContain(at.url('good'));
    expect(told.every(({ bytes_total: total }) => total === bytes.length || total === 18)).toBe(true);
    expect(readdirSync(join(dir, 'cache/partial'))).toEqual([]);
  });

  it('goes on at the next address where the one before has stopped', async () => {
    const { at, hash, bytes } = await mirrors();

    await ground().get({ hash, urls: urls(at, 'stalls', 'good') });

    const last = at.asked.filter(({ url, range }) => url === '/good' && range !== 'bytes=0-0');
    expect(last.map(({ range }) => range)).toEqual([`bytes=${bytes.length / 2}-${bytes.length - 1}`]);
  });

  it('goes on where a connection was cut', async () => {
    const { at, hash, bytes } = await mirrors();
    at.faults.push(cutAfter(300_000, contentOf(bytes)));

    await ground().get({ hash, urls: urls(at, 'good') });

    expect(at.asked.at(-1)?.range).toMatch(/^bytes=[1-9]\d*-/);
  });

  it.each([224, 256, 384, 512] as const)('is told by SHA-3 of %i bits, in either case (M-14)', async (bits) => {
    const bytes = randomBytes(1000);
    const at = await mirrorsOf(bytes);
    const { hash } = gvmiOf(bytes, bits);
    const { get } = ground();

    expect(
      (await get({ hash: `sha3:${hash.slice(5).toUpperCase()}`, urls: urls(at, 'good') })).bytes.equals(bytes),
    ).toBe(true);
    at.asked.length = 0;
    await get({ hash, urls: urls(at, 'good') });
    expect(at.asked).toEqual([]);
  });

  it('is refused where none gives it: each address is told with what was wrong there (M-13, M-14)', async () => {
    const { at, hash } = await mirrors(2000);
    const from = urls(at, 'gone', 'stalls', 'lies', 'other');

    const error = await failure(
      ground().get({ hash, urls: [...from, 'ftp://example.com/x', 'http://10.1.2.3/x?key=1'] }),
    );

    expect(error.code).toBe('payload.unavailable');
    expect(error.detail['tried']).toMatchObject([
      { url: from[0], code: 'input.refused', reason: 'The source does not have it.' },
      { url: from[1], code: 'input.failed' },
      { url: from[2], code: 'hash_mismatch', reason: expect.stringMatching(/^Its hash is [0-9a-f]{64}\.$/) },
      { url: from[3], code: 'hash_mismatch' },
      { url: expect.stringContaining('x'), code: 'input.refused', reason: expect.stringContaining('https URLs') },
      { url: 'http://10.1.2.3/x', code: 'input.refused', reason: expect.stringContaining('not public') },
    ]);
    expect(error.message).not.toContain('key=1');
  });

  it('is called another one where all that came was that', async () => {
    const { at, hash } = await mirrors(2000);

    expect((await failure(ground().get({ hash, urls: urls(at, 'lies', 'other') }))).code).toBe('payload.hash_mismatch');
  });

  it('may be of a server that does not say how long it is, and is begun anew there', async () => {
    const { at, hash, bytes } = await mirrors(600_000);
    const { get } = ground();

    expect((await get({ hash, urls: urls(at, 'mute') })).bytes.equals(bytes)).toBe(true);
  });

  it.each<MirrorKind>(['good', 'mute'])('is not larger than the host allows, also where it is %s', async (kind) => {
    const { at, hash } = await mirrors();

    const error = await failure(ground().get({ hash, urls: urls(at, kind), maxBytes: 500_000 }));

    expect(error.detail['tried']).toMatchObject([{ reason: expect.stringContaining('larger than the 500000 bytes') }]);
  });

  it('needs room on the disk', async () => {
    const { at, hash } = await mirrors();

    const error = await failure(ground({ readFree: async () => 1000 }).get({ hash, urls: urls(at, 'good', 'good') }));

    expect(error.code).toBe('disk.full');
  });

  it('is hashed again when it comes from the cache, and fetched again where it was changed', async () => {
    const { at, hash, bytes } = await mirrors(5000);
    const { get } = ground();
    const { file } = await get({ hash, urls: urls(at, 'good') });
    chmodSync(file, 0o600);
    writeFileSync(file, randomBytes(5000));
    at.asked.length = 0;

    const again = await get({ hash, urls: urls(at, 'good') });

    expect(again.bytes.equals(bytes)).toBe(true);
    expect(at.asked.length).toBeGreaterThan(0);
  });

  it('is fetched once for two that ask at the same time', async () => {
    const { at, hash } = await mirrors();
    const { get } = ground();

    await Promise.all([get({ hash, urls: urls(at, 'good') }), get({ hash, urls: urls(at, 'good') })]);

    expect(at.asked.filter(({ range }) => range !== 'bytes=0-0').length).toBe(1);
  });

  it('is tried at its own addresses where those of whoever asked first were no good', async () => {
    const { at, hash, bytes } = await mirrors();
    const { get } = ground();

    const [first, second] = await Promise.allSettled([
      get({ hash, urls: urls(at, 'gone', 'lies') }),
      get({ hash, urls: urls(at, 'good') }),
    ]);

    expect([first.status, second.status]).toEqual(['rejected', 'fulfilled']);
    expect(second.status === 'fulfilled' && second.value.bytes.equals(bytes)).toBe(true);
  });

  it('is not waited for at addresses that another one names', async () => {
    const { at, hash, bytes } = await mirrors();
    const { get, dir } = ground({ idleMs: 60_000 });
    const leave = new AbortController();
    const slow = get({ hash, urls: urls(at, 'drips') }, leave.signal);
    const left = expect(slow).rejects.toThrow('left');
    const begun = () => at.asked.some(({ url, range }) => url === '/drips' && range !== 'bytes=0-0');
    await expect.poll(begun, { timeout: 10_000 }).toBe(true);

    const { file, bytes: got } = await get({ hash, urls: urls(at, 'good') });

    expect(got.equals(bytes)).toBe(true);
    expect(readdirSync(join(dir, 'cache/partial')).length).toBeGreaterThan(0);
    leave.abort(new Error('left'));
    await left;
    expect(readFileSync(file).equals(bytes)).toBe(true);
  });

  it('is not waited for at an address that sends a byte now and then, where there is another one', async () => {
    const { at, hash, bytes } = await mirrors();
    // Nothing but how little it sends is a reason to leave it.
    const { get } = ground({ slowMs: 100, idleMs: 60_000 });

    expect((await get({ hash, urls: urls(at, 'drips', 'good') })).bytes.equals(bytes)).toBe(true);
    expect(at.asked.map(({ url }) => url)).toContain('/drips');
    const another = hash.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    const alone = get({ hash: another, urls: urls(at, 'drips') }, AbortSignal.timeout(400));
    await expect(alone).rejects.toThrow('timeout');
  });

  it('may come over plain http from a public address, as the examples of manifests have it (M-13, M-45)', async () => {
    const { bytes, hash, at } = await mirrors(2000);
    const port = new URL(at.origin).port;
    const lookup = ((_name: string, _options: object, done: (error: null, found: object[]) => void) =>
      done(null, [{ address: '127.0.0.1', family: 4 }])) as unknown as typeof import('node:dns').lookup;
    const open = ground({ lookup, policy: { allow: [`images.example:${port}`] } });
    const shut = ground({ lookup, policy: { allow: [] } });

    expect((await open.get({ hash, urls: [`http://images.example:${port}/good`] })).bytes.equals(bytes)).toBe(true);
    const error = await failure(shut.get({ hash, urls: [`http://images.example:${port}/good`] }));
    expect(error.detail['tried']).toMatchObject([{ reason: expect.stringContaining('not public') }]);
  });

  it('is waited for longer where there is no other address', async () => {
    const { at, hash } = await mirrors(1000);
    for (let count = 0; count < 6; count += 1) at.faults.push(status(503));
    const { get, pauses } = ground();

    await get({ hash, urls: urls(at, 'good') });

    expect(pauses.length).toBe(6);
  });

  it('is of other bytes than one with another hash, though their first halves came from one place', async () => {
    const { at, hash, bytes } = await mirrors();
    const { get } = ground();
    const wrong = `sha3:${createHash('sha3-256').update('x').digest('hex')}`;

    await failure(get({ hash: wrong, urls: urls(at, 'stalls', 'good') }));

    expect((await get({ hash, urls: urls(at, 'good') })).bytes.equals(bytes)).toBe(true);
  });
});
