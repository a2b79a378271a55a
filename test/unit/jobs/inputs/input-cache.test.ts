/** What the host keeps of inputs: for whom, how long, and how much of it. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hubServer } from '../../../support/hub-server.ts';
import { filesBelow, inputsGround, reasonOf } from '../../../support/inputs-ground.ts';
import { type Content, contentOf, loopbackSource, sendContent } from '../../../support/loopback-source.ts';

/** Each path is a file of its own. */
async function fileServer(files: Readonly<Record<string, Content>>) {
  const server = await loopbackSource(async (request, response, url) => {
    const content = files[url.pathname.slice(1)];
    if (content) await sendContent(request, response, content);
    else response.writeHead(404).end();
  });
  const source = (name: string) => ({ kind: 'http', url: `${server.origin}/${name}` }) as const;
  /** Requests for contents, and not for what there is. */
  const fetched = () => server.asked.filter(({ range }) => range !== 'bytes=0-0').map(({ url }) => url.slice(1));
  return { ...server, source, fetched };
}

const kib = 1024;
const files = Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, contentOf(name.repeat(100 * kib))]));
const gibOf = (bytes: number) => bytes / 1024 ** 3;

describe('the cache of inputs', () => {
  it('gives the same to the next job, as one file on the disk', async () => {
    const { source, fetched } = await fileServer(files);
    const { provide, inputs, cached } = inputsGround();
    const first = await provide(source('a'));

    const second = await provide(source('a'), { job: 'job-2' });

    expect([first.from_cache, second.from_cache, fetched()]).toEqual([false, true, ['a']]);
    expect(second.sha256).toBe(first.sha256);
    const inodes = ['job-1', 'job-2'].map((job) => statSync(join(inputs.folderOf(job, 'models'), 'a')).ino);
    expect(inodes[0]).toBe(inodes[1]);
    expect(cached()).toEqual([100 * kib]);
  });

  it('lets two who want the same at the same time wait for one', async () => {
    const { source, fetched } = await fileServer(files);
    const { provide, progress } = inputsGround();

    const provided = await Promise.all(['job-1', 'job-2', 'job-3'].map((job) => provide(source('b'), { job })));

    expect([fetched(), provided.map(({ bytes }) => bytes)]).toEqual([['b'], [100 * kib, 100 * kib, 100 * kib]]);
    expect(progress.at(-1)?.bytes).toBe(100 * kib);
  });

  it('fetches anew what has changed', async () => {
    const changing: Record<string, Content> = { x: contentOf('one') };
    const { source } = await fileServer(changing);
    const { provide, text } = inputsGround();
    await provide(source('x'));
    changing['x'] = contentOf('two');

    await provide(source('x'), { job: 'job-2' });

    expect([text('x'), text('x', 'job-2')]).toEqual(['one', 'two']);
  });

  it('gives nothing that one has fetched to another who does not have the same credential (X-22)', async () => {
    const large = { 'model.bin': contentOf('secret weights') };
    const model = { repo: 'acme/gated', commit: 'e'.repeat(40), large, small: {}, token: 'hf_good' };
    const hub = await hubServer([model]);
    const { provide } = inputsGround({ policy: { endpoints: { huggingface: hub.origin } } });
    const source = { kind: 'huggingface', repo: 'acme/gated', revision: 'main', files: [] } as const;
    const credential = { access_token: 'hf_good' };
    await provide(source, { credential });

    const again = await provide(source, { job: 'job-2', credential });
    const refusals = [{ access_token: 'hf_other' }, undefined].map((other, index) =>
      reasonOf(provide(source, { job: `thief-${index}`, credential: other })),
    );

    expect(again.from_cache).toBe(true);
    expect(await Promise.all(refusals)).toEqual(Array(2).fill(expect.stringMatching(/^input.refused/)));
    Reflect.deleteProperty(model, 'token');
    expect(await provide(source, { job: 'public' })).toMatchObject({ from_cache: false });
  });

  it('writes no credential to the disk', async () => {
    const large = { 'model.bin': contentOf('w') };
    const hub = await hubServer([{ repo: 'a/b', commit: 'e'.repeat(40), large, small: {}, token: 'hf_verysecret' }]);
    const { dir, provide } = inputsGround({ policy: { endpoints: { huggingface: hub.origin } } });

    await provide(
      { kind: 'huggingface', repo: 'a/b', revision: 'main', files: [] },
      { credential: { access_token: 'hf_verysecret' } },
    );

    const all = filesBelow(dir).flatMap((path) => [path, readFileSync(join(dir, path), 'latin1')]);
    expect(all.filter((text) => text.includes('verysecret') || text.includes('X-Amz-Signature'))).toEqual([]);
  });

  it('keeps nothing longer than the input says, and nothing at all for 0 (X-22)', async () => {
    const { source, fetched } = await fileServer(files);
    const { provide, later, cached } = inputsGround();
    await provide(source('a'), { input: { cache_seconds: 60 } });
    await provide(source('b'), { input: { id: 'other', cache_seconds: 0 } });
    expect(cached()).toHaveLength(1);

    later(61_000);
    await provide(source('a'), { job: 'job-2' });

    expect(fetched()).toEqual(['a', 'b', 'a']);
  });

  it('keeps nothing that nobody has used for as long as the host says (X-22)', async () => {
    const { source } = await fileServer(files);
    const { provide, later, inputs, cached } = inputsGround({ policy: { max_age_hours: 2 } });
    await provide(source('a'), { input: { cache_seconds: 86_400 } });
    await provide(source('b'), { input: { id: 'b', cache_seconds: 86_400 } });
    later(3_600_000);
    await provide(source('a'), { job: 'job-2' });
    later(3_600_000);

    await inputs.prune();

    expect(cached()).toHaveLength(1);
    expect(await provide(source('a'), { job: 'job-3' })).toMatchObject({ from_cache: true });
  });

  it('loses what was used least recently where it is too large, and takes nothing from a job that runs', async () => {
    const { source, fetched } = await fileServer(files);
    const { provide, later, inputs, text, paths, cached } = inputsGround({ policy: { max_gib: gibOf(250 * kib) } });
    for (const name of ['a', 'b']) {
      await provide(source(name), { job: name });
      later(1000);
    }
    await provide(source('a'), { job: 'a again' });
    await inputs.release('b');
    await inputs.release('a again');
    await inputs.release('a');
    later(1000);

    await provide(source('c'), { job: 'c' });
    await provide(source('d'), { job: 'd' });

    // b went for c, then a for d; c and d are in use.
    expect([text('c', 'c').length, text('d', 'd').length, paths('d')]).toEqual([100 * kib, 100 * kib, ['d']]);
    expect(cached()).toEqual(Array(2).fill(100 * kib));
    await provide(source('a'), { job: 'e' });
    await provide(source('b'), { job: 'e', input: { id: 'b' } });
    expect(cached()).toHaveLength(4);
    expect(['c', 'd'].map((name) => text(name, name).length)).toEqual([100 * kib, 100 * kib]);
    expect(fetched()).toEqual(['a', 'b', 'c', 'd', 'a', 'b']);
  });

  it('is not asked twice for what a job has: it stays as it was while the job lives', async () => {
    const changing: Record<string, Content> = { x: contentOf('one') };
    const { source, asked } = await fileServer(changing);
    const { dir, provide } = inputsGround();
    const first = await provide(source('x'));
    changing['x'] = contentOf('two');
    const count = asked.length;

    // Another life of the agent.
    const next = inputsGround({ policy: { dir } });

    expect(await next.provide(source('x'))).toEqual(first);
    expect([next.text('x'), asked.length]).toEqual(['one', count]);
  });

  it('takes nothing that a crash has cut for what was fetched', async () => {
    const { source } = await fileServer(files);
    const { dir, provide, text } = inputsGround();
    await provide(source('a'));
    const [key = ''] = readdirSync(join(dir, 'cache/objects'));
    truncateSync(join(dir, 'cache/objects', key), 10);

    await provide(source('a'), { job: 'job-2' });

    expect(text('a', 'job-2')).toHaveLength(100 * kib);
  });

  it('is looked at anew after another boot of the host, as are the inputs of a job', async () => {
    const { source, asked, fetched } = await fileServer(files);
    const { dir, provide, text } = inputsGround();
    await provide(source('a'));
    await provide(source('b'), { input: { id: 'b' } });
    const [about, objects] = [join(dir, 'cache/about'), join(dir, 'cache/objects')];
    for (const file of [...filesBelow(about).map((key) => join(about, key)), join(dir, 'cache/provided/job-1/data')]) {
      writeFileSync(file, readFileSync(file, 'utf8').replace(/"boot":"[^"]+"/, '"boot":"of another life"'));
    }
    const spoilt = readdirSync(objects).find((key) => readFileSync(join(objects, key), 'latin1').startsWith('a')) ?? '';
    chmodSync(join(objects, spoilt), 0o600);
    writeFileSync(join(objects, spoilt), Buffer.alloc(100 * kib));
    asked.length = 0;

    await provide(source('a'));
    await provide(source('b'), { input: { id: 'b' } });
    await provide(source('b'), { job: 'job-2' });

    expect([fetched(), text('a')[0], text('b', 'job-2')[0]]).toEqual([['a'], 'a', 'b']);
    expect(asked.map(({ url }) => url)).toEqual(['/a', '/a', '/b']);
  });

  it('is empty, and makes nothing, where nothing was ever fetched', async () => {
    const { dir, inputs } = inputsGround();

    await inputs.prune();

    expect(readdirSync(dir)).toEqual([]);
  });

  it('is laid into a folder that the gate has made, which stays as it is', async () => {
    const { source } = await fileServer(files);
    const { provide, inputs, paths } = inputsGround();
    const folder = inputs.folderOf('job-1', 'models');
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o775);

    await provide(source('a'));

    expect([paths(), statSync(folder).mode & 0o777]).toEqual([['a'], 0o775]);
  });

  it('is all that is left of a job that has ended', async () => {
    const { source } = await fileServer(files);
    const { dir, provide, inputs, cached } = inputsGround();
    await provide(source('a'));

    await inputs.release('job-1');
    await inputs.release('job-1');
    await inputs.release('never seen');

    expect(['jobs/job-1', 'cache/provided/job-1'].filter((path) => existsSync(join(dir, path)))).toEqual([]);
    expect(cached()).toHaveLength(1);
  });
});

describe('the disk', () => {
  it('is asked before anything is fetched, and what is kept makes room', async () => {
    const { source, fetched } = await fileServer(files);
    let free = 150 * kib;
    const readFree = async () => free;
    const { provide, inputs, cached } = inputsGround({ readFree, diskGib: gibOf(40 * kib) });
    await provide(source('a'));
    free = 50 * kib;

    expect(await reasonOf(provide(source('b'), { job: 'job-2' }))).toMatch(/^disk.full: It needs 102400 bytes, and/);
    expect(fetched()).toEqual(['a']);

    await inputs.release('job-1');
    free = 60 * kib;
    expect(cached()).toHaveLength(1);
    expect(await reasonOf(provide(source('b'), { job: 'job-3' }))).toMatch(/^disk.full/);
    expect(cached()).toHaveLength(0);
  });

  it('is kept free also from a file of which nobody says how long it is', async () => {
    let isGone = false;
    const server = await loopbackSource((_request, response) => {
      response.once('close', () => {
        isGone = true;
      });
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(64 * kib)));
      };
      response.on('drain', more);
      more();
    });
    let free = 20 * 1024 * kib;
    const readFree = async () => {
      free -= 256 * kib;
      return free;
    };
    const { provide } = inputsGround({ readFree, diskGib: gibOf(10 * 1024 * kib) });

    expect(await reasonOf(provide({ kind: 'http', url: `${server.origin}/endless` }))).toMatch(/^disk.full/);
    await expect.poll(() => isGone).toBe(true);
  });

  it('is promised once: two who come together do not both get the last of it', async () => {
    const { source, faults } = await fileServer(files);
    const { provide } = inputsGround({ readFree: async () => 150 * kib });
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    faults.push((request, response) => {
      if (request.headers.range === 'bytes=0-0') return false;
      void held.then(() => response.writeHead(503).end());
      return true;
    });

    const works = ['a', 'b'].map((name) => reasonOf(provide(source(name), { job: name })));
    expect(await Promise.race(works)).toMatch(/^disk.full/);
    letGo();

    expect((await Promise.all(works)).sort()).toEqual([expect.stringMatching(/^disk.full/), 'it was provided']);
  });
});
