import { execFileSync } from 'node:child_process';
import { createPublicKey, verify } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { epochFile } from '../../../../src/agent/identity/epoch-file.ts';
import { openIdentityKey } from '../../../../src/agent/identity/identity-key.ts';
import { type NodeRecord, readNode, writeNode } from '../../../../src/agent/identity/node-record.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const folder = temporaryFolder('identity-files');

describe('the identity key', () => {
  it('is made once, for its owner only', () => {
    const state = join(folder, 'once');

    const first = openIdentityKey(state);
    const second = openIdentityKey(state);

    expect(second.publicJwk).toEqual(first.publicJwk);
    expect(statSync(join(state, 'identity')).mode & 0o777).toBe(0o700);
    expect(statSync(join(state, 'identity/identity.jwk')).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(state, 'identity'))).toEqual(['identity.jwk']);
  });

  it('signs what its public half, and no other, can prove', () => {
    const key = openIdentityKey(join(folder, 'one'));
    const other = openIdentityKey(join(folder, 'other'));

    const signature = Buffer.from(key.sign('who I am'), 'base64url');

    const proves = (jwk: object, text: string) =>
      verify(null, Buffer.from(text), createPublicKey({ key: jwk, format: 'jwk' }), signature);
    expect(signature).toHaveLength(64);
    expect(proves(key.publicJwk, 'who I am')).toBe(true);
    expect(proves(key.publicJwk, 'who I am not')).toBe(false);
    expect(proves(other.publicJwk, 'who I am')).toBe(false);
  });

  it.each([
    ['cut', '{"kty":"OKP","crv":"Ed2'],
    ['empty', ''],
    ['no key', '{"hello":"world"}'],
    [
      'a key for something else',
      JSON.stringify({ kty: 'OKP', crv: 'X25519', x: 'A'.repeat(43), d: 'c4nary'.padEnd(43, 'A') }),
    ],
  ])('is refused where the file is %s, and not replaced', (_what, text) => {
    const state = join(folder, `damaged-${_what}`);
    const file = join(state, 'identity/identity.jwk');
    mkdirSync(join(state, 'identity'), { recursive: true });
    writeFileSync(file, text, { mode: 0o600 });

    expect(() => openIdentityKey(state)).toThrow(
      expect.objectContaining({
        ...{ code: 'identity.unusable', message: expect.not.stringContaining('c4nary') },
        detail: expect.objectContaining({ path: file }),
      }),
    );
    expect(readFileSync(file, 'utf8')).toBe(text);
  });
});

describe('the epoch', () => {
  it('is 0 before the first session, and what was written last ever after', () => {
    const state = join(folder, 'epoch');
    const file = epochFile(state);

    const before = file.read();
    file.write(7);
    file.write(Number.MAX_SAFE_INTEGER);
    file.write(12);

    expect(before).toBe(0);
    expect(epochFile(state).read()).toBe(12);
    expect(statSync(join(state, 'identity/epoch')).mode & 0o777).toBe(0o600);
  });

  it('is written into the same block, so that a full disk is no hindrance', () => {
    const state = join(folder, 'epoch-in-place');
    epochFile(state).write(1);
    const before = statSync(join(state, 'identity/epoch'));

    epochFile(state).write(2);

    const after = statSync(join(state, 'identity/epoch'));
    expect([after.ino, after.size]).toEqual([before.ino, before.size]);
    expect(readdirSync(join(state, 'identity'))).toEqual(['epoch']);
  });

  it.each(['', '12', 'garbage', `${'9'.repeat(15)}x\n`])('is refused where the file holds %j', (text) => {
    const state = join(folder, `epoch-${text.length}-${text.slice(0, 3)}`);
    mkdirSync(join(state, 'identity'), { recursive: true });
    writeFileSync(join(state, 'identity/epoch'), text);

    expect(() => epochFile(state).read()).toThrow(expect.objectContaining({ code: 'identity.unusable' }));
  });
});

describe('the record of the node', () => {
  const key = { kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) } as const;
  const node: NodeRecord = {
    ...{ node_id: 'node-1', allocation_id: 'alloc-1', control_plane: 'https://cp:8443', ca: '', release_root: key },
    task_keys: [{ kid: 'k1', jwk: key, retire_after: null }],
    keys_since: '2026-11-25T12:00:00.000Z',
  };

  it('is not there before enrolment, and as it was written afterwards', () => {
    const state = join(folder, 'node');

    const before = readNode(state);
    writeNode(state, node);
    writeNode(state, { ...node, node_id: 'node-2' });

    expect(before).toBeUndefined();
    expect(readNode(state)).toEqual({ ...node, node_id: 'node-2' });
    expect(statSync(join(state, 'identity/node.json')).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(state, 'identity'))).toEqual(['node.json']);
  });

  it.each([
    ['cut', JSON.stringify(node).slice(0, -5)],
    ['without a task key', JSON.stringify({ ...node, task_keys: [] })],
  ])('is refused where it is %s', (what, text) => {
    const state = join(folder, `node-${what}`);
    writeNode(state, node);
    writeFileSync(join(state, 'identity/node.json'), text);
    chmodSync(join(state, 'identity/node.json'), 0o600);

    expect(() => readNode(state)).toThrow(expect.objectContaining({ code: 'identity.unusable' }));
  });

  it.each<[string, (file: string) => void]>([
    ['a pipe', (file) => void execFileSync('mkfifo', [file])],
    ['a link to what never ends', (file) => symlinkSync('/dev/zero', file)],
    ['longer than any', (file) => writeFileSync(file, ' '.repeat(2 ** 20 + 1))],
  ])('is refused at once where it is %s: root reads it as well', (what, make) => {
    const state = join(folder, `node-${what}`);
    writeNode(state, node);
    rmSync(join(state, 'identity/node.json'));
    make(join(state, 'identity/node.json'));

    expect(() => readNode(state)).toThrow(expect.objectContaining({ code: 'identity.unusable' }));
  });
});
