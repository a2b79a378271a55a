/** The root side of an update, on folders of the test's own. What the agent has staged may be anything. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { type ApplyOptions, applyUpdate } from '../../../../src/agent/update/apply.ts';
import { readLast } from '../../../../src/agent/update/guarded.ts';
import { type GuardedHost, guardedHost, programOf } from '../../../support/guarded-host.ts';
import { publisher, type SignedRelease, signingPair, writeRelease } from '../../../support/signed-release.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('apply');
const day = 24 * 60 * 60 * 1000;
let count = 0;
let host: GuardedHost;
let ours: ReturnType<typeof publisher>;

beforeEach(() => {
  count += 1;
  host = guardedHost(join(root, String(count)));
  host.install('0.1.0');
  host.point('current', '0.1.0');
  ours = publisher();
  writeFileSync(host.places.releaseRoot, ours.root.pem);
});

const expires = '2027-01-10T00:00:00Z';
const now = Date.parse('2026-12-01T00:00:00Z');
const staged = (release: SignedRelease) => writeRelease(host.places.staged, release);
const apply = (over: Partial<ApplyOptions> = {}) =>
  applyUpdate({
    ...{ places: host.places, version: '0.2.0', task: 'task-1', nonce: 'n1', from: undefined, pinned: null },
    ...{ arch: process.arch, wallMs: now, proc: join(host.folder, 'proc'), ...over },
  });
const second = (over = {}) => ours.release('0.2.0', programOf('0.2.0'), { expires, ...over });
/** Done one after the other. */
const all = (..._done: unknown[]) => undefined;
const memory = (text: string) => writeFileSync(join(host.places.guarded, 'memory'), text);

/** The old version runs, nothing is on trial, and nothing half is left. */
function expectNothingChanged(): void {
  expect([host.runs(), host.link('current'), host.guarded('pending')]).toEqual(['0.1.0', 'versions/0.1.0', undefined]);
  expect(existsSync(join(host.places.installed, 'versions/0.2.0/node-agent'))).toBe(false);
  expect(existsSync(join(host.places.guarded, 'work'))).toBe(false);
}

async function expectRefused(code: string, over: Partial<ApplyOptions> = {}): Promise<void> {
  await expect(apply(over)).rejects.toMatchObject({ code });
  expectNothingChanged();
  expect(readLast(host.places)).toMatchObject({
    outcome: 'refused',
    code,
    version: '0.2.0',
    task: 'task-1',
    nonce: 'n1',
  });
}

describe('a staged release', () => {
  it('is installed and put on trial, with the way back made', async () => {
    staged(second({ floor: 1 }));

    await apply();

    expect(host.runs()).toBe('0.2.0');
    expect(host.link('.back')).toBe('versions/0.1.0');
    expect(host.guarded('pending')).toContain('from=0.1.0\nto=0.2.0\ntask=task-1\nnonce=n1\nattempts=0\n');
    expect(host.guarded('pending')).toContain('since=100\nseq=1\nfloor=1\nkeys_seq=1\n');
    expect(readFileSync(join(host.places.installed, 'versions/0.2.0/seq'), 'utf8')).toBe('1\n');
    expect(host.guarded('memory')).toBeUndefined();
  });

  it('takes the place of a half installed one of the same name', async () => {
    mkdirSync(join(host.places.installed, 'versions/0.2.0'));
    writeFileSync(join(host.places.installed, 'versions/0.2.0/.node-agent.new'), 'half');
    staged(second());

    await apply();

    expect(host.runs()).toBe('0.2.0');
    expect(readdirSync(join(host.places.installed, 'versions/0.2.0')).sort()).toEqual(['node-agent', 'seq']);
  });

  const others: [string, string, () => void][] = [
    ['update.untrusted', 'another root has signed', () => staged(publisher(signingPair()).release('0.2.0', 'x'))],
    ['update.untrusted', 'is of another version than was asked for', () => staged(ours.release('0.3.0', 'x'))],
    ['update.untrusted', 'whose root is not on the host', () => all(staged(second()), rmSync(host.places.releaseRoot))],
    [
      'update.older',
      'is older than one that was here',
      () => all(staged(second()), memory('seq=9\nfloor=0\nkeys_seq=1\n')),
    ],
    ['update.below_floor', 'is below the floor', () => all(staged(second()), memory('seq=9\nfloor=5\nkeys_seq=1\n'))],
    ['update.untrusted', 'has old keys', () => all(staged(second()), memory('seq=0\nfloor=0\nkeys_seq=4\n'))],
    ['update.step_missing', 'needs another one first', () => staged(second({ min_from: 1 }))],
    [
      'update.skipped',
      'was rolled back before',
      () => all(staged(second()), writeFileSync(join(host.places.guarded, 'skipped'), '0.2.0 It crashed.\n')),
    ],
    [
      'update.unfit',
      'fails its self-test',
      () => staged(ours.release('0.2.0', '#!/bin/sh\necho no such processor\nexit 3\n')),
    ],
    ['update.unfit', 'is no program', () => staged(ours.release('0.2.0', 'this is text'))],
    [
      'update.no_artifact',
      'is not for this processor',
      () =>
        staged(
          second({
            artifacts: [{ name: 'b', kind: 'bootstrap', os: 'any', arch: 'any', size: 1, sha256: 'a'.repeat(64) }],
          }),
        ),
    ],
    [
      'update.damaged',
      'has a manifest that is a link',
      () => all(staged(second()), renameSync(file('release.json'), file('x')), symlinkSync('x', file('release.json'))),
    ],
    ['update.damaged', 'has no manifest', () => all(staged(second()), rmSync(file('release.json')))],
    [
      'update.damaged',
      'has a manifest that is a pipe nobody writes to',
      () => all(staged(second()), rmSync(file('release.json')), execFileSync('mkfifo', [file('release.json')])),
    ],
    [
      'update.damaged',
      'has a manifest that is a folder',
      () => all(staged(second()), rmSync(file('release.json')), mkdirSync(file('release.json'))),
    ],
    [
      'update.damaged',
      'has a manifest that never ends',
      () => all(staged(second()), rmSync(file('release.json')), symlinkSync('/dev/zero', file('release.json'))),
    ],
    [
      'update.damaged',
      'has a manifest of a gigabyte',
      () => all(staged(second()), truncateSync(file('release.json'), 2 ** 30)),
    ],
    [
      'update.damaged',
      'has another program than was signed',
      () => all(staged(second()), writeFileSync(artifact(), 'x'.repeat(10))),
    ],
    [
      'update.damaged',
      'has a program of many gigabytes',
      () => all(staged(second()), truncateSync(artifact(), 2 ** 40)),
    ],
    [
      'update.damaged',
      'has a program that is a link to one of the host',
      () => all(staged(second()), rmSync(artifact()), symlinkSync('/bin/sh', artifact())),
    ],
    [
      'update.damaged',
      'has a program that is a file of somebody else',
      () =>
        all(
          staged(second()),
          rmSync(artifact()),
          writeFileSync(file('secret'), 'root only'),
          linkSync(file('secret'), artifact()),
        ),
    ],
    [
      'update.damaged',
      'lies behind a link',
      () =>
        all(
          staged(second()),
          renameSync(host.places.staged, `${host.places.staged}.x`),
          symlinkSync(`${host.places.staged}.x`, host.places.staged),
        ),
    ],
  ];
  const file = (name: string) => join(host.places.staged, name);
  const artifact = () => file(`node-agent-0.2.0-linux-${process.arch}.gz`);
  it.each(others)('is refused as %s where it %s', async (code, _what, make) => {
    make();

    await expectRefused(code);
  });

  it('is refused where the host is pinned to another one', async () => {
    staged(second());

    await expectRefused('update.pinned', { pinned: '0.1.0' });
  });

  it('that unpacks to more than was signed is not unpacked to the end', async () => {
    const bomb = ours.release('0.2.0', Buffer.alloc(64 * 2 ** 20));
    const [signed] = bomb.release.artifacts;
    if (!signed) throw new Error('it has no file');
    staged({ ...bomb, papers: ours.release('0.2.0', 'x', { artifacts: [{ ...signed, unpacked_size: 1000 }] }).papers });

    await expectRefused('update.damaged');
  });

  it('is not installed beside one that is on trial, nor over the one that runs', async () => {
    staged(second());
    host.writePending();
    await expect(apply()).rejects.toMatchObject({ code: 'update.in_progress' });
    rmSync(join(host.places.guarded, 'pending'));

    await expect(apply({ version: '0.1.0' })).rejects.toMatchObject({ code: 'update.failed' });
    expectNothingChanged();
  });
});

describe('the time of a host that has no session', () => {
  it.each([
    ['a day ahead of the last day', '2027-01-10T23:00:00Z', undefined],
    ['behind the last day by more than a clock is wrong', '2027-01-12T00:00:01Z', 'update.expired'],
    ['that of a dead battery', '1970-01-01T00:00:00Z', undefined],
  ])('that is %s', async (_what, time, code) => {
    staged(second());

    const applied = apply({ wallMs: Date.parse(time) });

    await (code === undefined ? applied : expect(applied).rejects.toMatchObject({ code }));
    expect(host.runs()).toBe(code === undefined ? '0.2.0' : '0.1.0');
  });
});

describe('a folder of an operator', () => {
  it('may hold an older release, above the floor', async () => {
    memory('seq=9\nfloor=1\nkeys_seq=1\n');
    const from = join(host.folder, 'release');
    writeRelease(from, second());

    await apply({ from, wallMs: now + day });

    expect(host.runs()).toBe('0.2.0');
  });
});
