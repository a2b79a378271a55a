/** `gpuaas releases`, against a real control plane over HTTP. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import { publishRelease } from '../../../../src/cli/gpuaas/publish-release.ts';
import { makeRelease, makeSigners, writeMadeRelease } from '../../../support/releases.ts';
import { runGpuaas } from '../../../support/run-gpuaas.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { testServer } from '../../../support/test-server.ts';

const signers = makeSigners();
const server = await testServer({}, { releaseRoot: signers.root });
const run = (...words: string[]) => runGpuaas({ url: server.url, token: server.tokens['admin'] ?? '' }, words);
const folder = temporaryFolder('releases-command');
const rootFile = join(folder, 'root.pem');
writeFileSync(rootFile, signers.rootPem);
let number = 0;

function made() {
  number += 1;
  const release = makeRelease(signers, { seq: number, version: `1.${number}.0` });
  return { ...release, version: `1.${number}.0`, folder: writeMadeRelease(join(folder, `r${number}`), release) };
}
const client = () => new ControlPlaneClient({ url: server.url, token: server.tokens['admin'] ?? '' });
const options = { root: undefined, json: true, pieceBytes: 30_000 };

it('publishes a folder, says what it sends, and sends nothing a second time', async () => {
  const { folder: dir, version } = made();

  const first = await run('releases', 'publish', dir, '--root', rootFile);
  const again = await run('releases', 'publish', dir, '--json');
  const list = await run('releases', 'list');
  const described = await run('releases', 'describe', version);

  expect([first.status, again.status]).toEqual([0, 0]);
  expect(first.err).toContain(`0.1 MiB  node-agent-${version}-linux-x64.gz`);
  expect(first.err).toContain(`gpuaas rollouts start ${version}`);
  expect(again.err).toBe('');
  expect(JSON.parse(again.out)).toMatchObject({ version, complete: true });
  expect(list.out).toMatch(new RegExp(`^${version} +${number} +stable +published`, 'm'));
  expect(described.out).toMatch(/^bootstrap.sh +bootstrap +any +\d+ +here$/m);
});

it('goes on where it was cut, in pieces', async () => {
  const { folder: dir, version } = made();
  const control = client();
  const put = control.put.bind(control);
  const sent: unknown[] = [];
  control.put = async <T>(...piece: Parameters<typeof put>) => {
    sent.push(piece[2]?.['offset']);
    if (sent.length === 3) throw new Error('the line was cut');
    return await put<T>(...piece);
  };

  await expect(publishRelease(control, dir, options)).rejects.toThrow('cut');
  const published = await publishRelease(control, dir, options);

  // The third piece again, the fourth, and the other file.
  expect(sent).toEqual([0, 30_000, 60_000, 60_000, 90_000, 0]);
  expect(published.complete).toBe(true);
  expect((await run('releases', 'describe', version, '--json')).out).toContain('"complete":true');
});

it('goes on behind a piece of which the answer was lost', async () => {
  const { folder: dir } = made();
  const control = client();
  const put = control.put.bind(control);
  let count = 0;
  control.put = async <T>(...piece: Parameters<typeof put>) => {
    count += 1;
    const answer = await put<T>(...piece);
    // As the client does by itself where no answer came.
    return count === 2 ? await put<T>(...piece) : answer;
  };

  const published = await publishRelease(control, dir, options);

  expect(published.complete).toBe(true);
});

it.each([
  ['a file is another one', (dir: string) => writeFileSync(join(dir, 'bootstrap.sh'), 'x'), 'update.damaged'],
  ['a file is missing', (dir: string) => rmSync(join(dir, 'bootstrap.sh')), 'file.unusable'],
  [
    'a signature is another one',
    (dir: string) => writeFileSync(join(dir, 'release.json.sig'), 'x'),
    'update.untrusted',
  ],
])('sends nothing where %s', async (_, spoil, code) => {
  const { folder: dir, version } = made();
  spoil(dir);

  const ran = await run('releases', 'publish', dir, '--root', rootFile, '--json');
  const there = await server.call('GET', `/api/v1/releases/${version}`);

  expect(ran.status).not.toBe(0);
  expect(ran.out).toContain(code);
  expect(there.status).toBe(404);
});

it('withdraws with a reason, and asks for one', async () => {
  const { folder: dir, version } = made();
  await run('releases', 'publish', dir);

  const without = await run('releases', 'withdraw', version);
  const withdrawn = await run('releases', 'withdraw', version, '--reason', 'It burns hosts.', '--json');

  expect(without.status).toBe(2);
  expect(JSON.parse(withdrawn.out)).toMatchObject({ state: 'withdrawn', withdrawn_reason: 'It burns hosts.' });
});
