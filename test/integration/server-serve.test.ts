import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type ServeProcess, serveProcess } from '../support/serve-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const folder = temporaryFolder('serve');
const newDir = () => join(folder, randomUUID());

describe('gpuaas serve', () => {
  const running: ServeProcess[] = [];
  const start = async (dir: string, ...args: string[]) => {
    const started = await serveProcess(dir, args);
    running.push(started);
    return started;
  };
  afterEach(async () => {
    await Promise.all(running.splice(0).map((each) => each.stop('SIGKILL')));
  });
  const list = (url: string | undefined, token: string | undefined) =>
    fetch(`${url}/api/v1/catalog/apps`, { headers: { authorization: `Bearer ${token}` } });

  it('makes store, keys and one admin token, serves, and ends in order', async () => {
    const dir = newDir();

    const first = await start(dir, '--init');
    const answer = await list(first.url, first.adminToken);
    const status = await first.stop();

    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ items: [{ slug: 'jupyterlab' }, { slug: 'vllm-openai' }] });
    expect(status).toBe(0);
    expect(readdirSync(dir)).toEqual(expect.arrayContaining(['control-plane.db', 'keys']));
    expect(statSync(dir).mode & 0o777).toBe(0o700);
  });

  it('shows the token once and keeps it nowhere: not in its log, not on its disk', async () => {
    const dir = newDir();
    const first = await start(dir, '--init');
    const token = first.adminToken ?? '';
    await list(first.url, token);
    await first.stop();

    const again = await start(dir, '--init');
    const answer = await list(again.url, token);
    await again.stop();

    const secret = token.split('_').slice(2).join('_');
    const files = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) =>
      statSync(join(dir, name)).isFile(),
    );
    expect(token).toMatch(/^gpuaas_/);
    expect(answer.status).toBe(200);
    expect(again.adminToken).toBeUndefined();
    expect(first.stderr() + again.stderr()).not.toContain(secret);
    expect(files.filter((name) => readFileSync(join(dir, name)).includes(secret))).toEqual([]);
  });

  it('makes one more admin token for whoever lost it', async () => {
    const dir = newDir();
    await (await start(dir, '--init')).stop();

    const again = await start(dir, '--new-admin-token');

    expect((await list(again.url, again.adminToken)).status).toBe(200);
  });

  it('is refused in a folder that was never made one', async () => {
    const refused = await start(newDir());

    expect(refused.url).toBeUndefined();
    expect(refused.lines).toMatchObject([{ failure: { code: 'server.not_initialised' } }]);
    expect(await refused.stop()).toBe(2);
  });

  it('is refused on a store that was emptied: nobody shall take it for a new one', async () => {
    const dir = newDir();
    await (await start(dir, '--init')).stop();
    truncateSync(join(dir, 'control-plane.db'));

    const refused = await start(dir);

    expect(refused.lines).toMatchObject([{ failure: { code: 'store.unusable' } }]);
  });

  it('is refused beside another one on the same folder', async () => {
    const dir = newDir();
    await start(dir, '--init');

    const second = await start(dir);

    expect(second.lines).toMatchObject([{ failure: { code: 'server.running' } }]);
  });

  it('can be started again after it was killed', async () => {
    const dir = newDir();
    const first = await start(dir, '--init');
    await first.stop('SIGKILL');

    const second = await start(dir);

    expect((await list(second.url, first.adminToken)).status).toBe(200);
  });
});
