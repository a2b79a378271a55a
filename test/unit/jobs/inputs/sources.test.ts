/** Each kind of source, from servers that answer as the real ones do. */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { hubServer } from '../../../support/hub-server.ts';
import { filesBelow, inputsGround, reasonOf } from '../../../support/inputs-ground.ts';
import { contentOf, loopbackSource, sendContent } from '../../../support/loopback-source.ts';
import { ollamaRegistry } from '../../../support/ollama-registry.ts';
import { linkTo, type S3Style, s3Server } from '../../../support/s3-server.ts';

const weights = contentOf('w'.repeat(5000));
const model = {
  ...{ repo: 'acme/tiny', commit: 'c'.repeat(40), large: { 'model.safetensors': weights, 'onnx/model.onnx': weights } },
  small: { 'config.json': '{"a":1}', 'onnx/notes with spaces.txt': 'hello', 'README.md': '# tiny' },
};
const all = ['README.md', 'config.json', 'model.safetensors', 'onnx/model.onnx', 'onnx/notes with spaces.txt'];
const hub = (files: readonly string[] = [], revision = 'main') =>
  ({ kind: 'huggingface', repo: 'acme/tiny', revision, files }) as const;

describe('a Hugging Face hub (N-41, N-42)', () => {
  it('gives all files of the commit that a revision is, over as many pages as it has', async () => {
    const server = await hubServer([model], { pageSize: 2 });
    const { provide, paths, text, progress } = inputsGround({ policy: { endpoints: { huggingface: server.origin } } });

    const provided = await provide(hub());

    expect(paths()).toEqual(all);
    expect([text('onnx/notes with spaces.txt'), text('model.safetensors')]).toEqual(['hello', 'w'.repeat(5000)]);
    const manifest = all.map((path) => `${createHash('sha256').update(text(path)).digest('hex')}  ${path}\n`).join('');
    const sha256 = createHash('sha256').update(manifest).digest('hex');
    const { commit } = model;
    expect(provided).toEqual({ id: 'data', files: 5, bytes: 10_018, sha256, commit, from_cache: false });
    expect(progress.at(-1)).toEqual({ bytes: 10_018, bytes_total: 10_018, files: 5, files_total: 5 });
  });

  it('gives files and folders that are asked for, and no others', async () => {
    const server = await hubServer([model]);
    const { provide, paths } = inputsGround({ policy: { endpoints: { huggingface: server.origin } } });

    await provide(hub(['config.json', 'onnx/'], model.commit));

    expect(paths()).toEqual(['config.json', 'onnx/model.onnx', 'onnx/notes with spaces.txt']);
  });

  it('sees the token at its own origin, and the content network does not (N-40)', async () => {
    const server = await hubServer([{ ...model, token: 'hf_secret' }]);
    const { provide, paths } = inputsGround({ policy: { endpoints: { huggingface: server.origin } } });

    await provide(hub(), { credential: { access_token: 'hf_secret' } });

    expect(paths()).toEqual(all);
    expect(new Set(server.asked.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer hf_secret']));
    expect(server.network.asked.map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
  });

  it.each([
    [
      'a repository that is not there for who asks',
      { ...hub(), repo: 'acme/other' },
      /^input.refused: The source does not let/,
    ],
    ['a revision that is not there', hub([], 'v9'), /^input.refused: The source does not have it/],
    [
      'a file that is not there',
      hub(['model.bin']),
      /^input.refused: The source does not have a file that is asked for/,
    ],
    ['a name that leads elsewhere', { ...hub(), repo: '../../etc' }, /^input.refused: It is no name of a repository/],
  ])('refuses %s', async (_what, source, reason) => {
    const server = await hubServer([model]);
    const { provide } = inputsGround({ policy: { endpoints: { huggingface: server.origin } } });

    expect(await reasonOf(provide(source))).toMatch(reason);
  });

  it('is not believed where a file is another one than it lists', async () => {
    const large = { 'model.safetensors': { ...weights, sha256: 'f'.repeat(64) } };
    const server = await hubServer([{ ...model, large }]);
    const { provide } = inputsGround({ policy: { endpoints: { huggingface: server.origin } } });

    expect(await reasonOf(provide(hub()))).toBe('input.refused: The sha256 of what came is another one.');
  });

  it('gives what has not changed since another commit out of the cache', async () => {
    const changing = { ...model, small: { ...model.small } };
    const server = await hubServer([changing]);
    const { provide, text } = inputsGround({ policy: { endpoints: { huggingface: server.origin } } });
    await provide(hub());
    Object.assign(changing.small, { 'config.json': '{"a":2}' });
    changing.commit = 'd'.repeat(40);
    server.asked.length = 0;

    await provide(hub(), { job: 'job-2' });

    expect(server.asked.filter(({ url }) => url.includes('/resolve/')).map(({ url }) => url)).toEqual([
      `/acme/tiny/resolve/${changing.commit}/config.json`,
    ]);
    expect([text('config.json'), text('config.json', 'job-2')]).toEqual(['{"a":1}', '{"a":2}']);
  });
});

const objects = {
  'sets/train/a.csv': contentOf('aaaa'),
  'sets/train/b & c+d.csv': contentOf('bb'),
  'sets/train/deep/ü.csv': contentOf('c'),
  'sets/train/': contentOf(''),
  'sets/trainer.csv': contentOf('no'),
  'top.txt': contentOf('top'),
};
const key = { id: 'AKIDEXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', region: 'eu-central-1' };
const credential = { access_key_id: key.id, secret_access_key: key.secret };
const styles: S3Style['style'][] = ['path', 'host'];

describe.each(styles)('a bucket that is named by the %s (N-35)', (style) => {
  const root = style === 'path' ? '/data' : '';
  const s3 = (url: string, files: readonly string[] = [], region = key.region) =>
    ({ kind: 's3', url, region, files }) as const;

  it('gives all that is below a prefix, page by page', async () => {
    const server = await s3Server([{ name: 'data', objects }], { style, pageSize: 2 });
    const { provide, paths, text } = inputsGround();

    const provided = await provide(s3(`${server.origin}${root}/sets/train`));

    expect(paths()).toEqual(['a.csv', 'b & c+d.csv', 'deep/ü.csv']);
    expect([text('b & c+d.csv'), provided.bytes]).toEqual(['bb', 7]);
  });

  it('gives all of it, one object, or the files and folders that are asked for (N-38)', async () => {
    const server = await s3Server([{ name: 'data', objects }], { style });
    const { provide, paths } = inputsGround();
    const of = async (job: string, url: string, files: readonly string[] = []) => {
      await provide(s3(`${server.origin}${root}${url}`, files), { job });
      return paths(job);
    };

    expect(await of('all', '/')).toEqual([
      'sets/train/a.csv',
      'sets/train/b & c+d.csv',
      'sets/train/deep/ü.csv',
      'sets/trainer.csv',
      'top.txt',
    ]);
    expect(await of('named', '')).toEqual(await of('all', '/'));
    expect(await of('one', '/sets/train/b%20%26%20c+d.csv')).toEqual(['b & c+d.csv']);
    expect(await of('some', '/sets', ['trainer.csv', 'train/deep/'])).toEqual(['train/deep/ü.csv', 'trainer.csv']);
  });

  it('gives a private bucket to whoever signs, and to nobody else (N-39)', async () => {
    const server = await s3Server([{ name: 'data', objects, key }], { style });
    const { provide, paths } = inputsGround();
    const source = s3(`${server.origin}${root}/sets/train/`);

    await provide(source, { credential });

    expect(paths()).toEqual(['a.csv', 'b & c+d.csv', 'deep/ü.csv']);
    expect(await reasonOf(provide(source, { job: 'job-2' }))).toMatch(/^input.refused: The source does not let/);
    const wrong = { ...credential, secret_access_key: 'other' };
    expect(await reasonOf(provide(source, { job: 'job-3', credential: wrong }))).toMatch(/^input.refused/);
    expect(await reasonOf(provide(s3(source.url, [], 'us-east-1'), { job: 'job-4', credential }))).toMatch(
      /^input.refused/,
    );
    expect(JSON.stringify(server.asked)).not.toContain(key.secret);
  });

  it('gives an object to whoever has a link to it, and takes it from the cache for the next link', async () => {
    const server = await s3Server([{ name: 'data', objects, key }], { style });
    const { dir, provide, text } = inputsGround();
    const at = `${server.origin}${root}/sets/train/b%20%26%20c%2Bd.csv`;
    const queryOf = async (day: string) => new URL(await linkTo(at, key, day)).search.slice(1);
    const [first, second] = [await queryOf('20261125'), await queryOf('20261126')];

    const fetched = await provide(s3(at), { credential: { query: first } });
    const again = await provide(s3(at), { job: 'job-2', credential: { query: second } });

    expect([text('b & c+d.csv'), fetched.from_cache, again.from_cache]).toEqual(['bb', false, true]);
    const bad = { query: first.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a')) };
    const refused = provide(s3(at), { job: 'job-3', credential: bad }).catch((error: unknown) => inspect(error));
    expect(await refused).toMatch(/The source does not let/);
    expect(await refused).not.toContain('X-Amz');
    expect(await reasonOf(provide(s3(`${at}?${second}`), { job: 'job-4' }))).toBe('it was provided');
    const kept = filesBelow(dir).map((path) => path + readFileSync(join(dir, path), 'latin1'));
    expect(kept.filter((each) => each.includes('X-Amz'))).toEqual([]);
  });

  it('gives objects of a bucket that is not listed', async () => {
    const server = await s3Server([{ name: 'data', objects, isListed: false }], { style });
    const { provide, paths } = inputsGround();

    await provide(s3(`${server.origin}${root}`, ['top.txt']));

    expect(paths()).toEqual(['top.txt']);
    expect(await reasonOf(provide(s3(`${server.origin}${root}/nothing`), { job: 'b' }))).toMatch(/^input.refused/);
  });
});

describe('several buckets', () => {
  it('come into one folder, where the later one has a file that both have', async () => {
    const buckets = [
      { name: 'one', objects: { 'a.txt': contentOf('one'), 'both.txt': contentOf('of one') } },
      { name: 'two', objects: { 'b.txt': contentOf('two'), 'both.txt': contentOf('of two') } },
    ];
    const server = await s3Server(buckets, { style: 'path' });
    const { provide, paths, text } = inputsGround();
    const from = (name: string) =>
      provide({ kind: 's3', url: `${server.origin}/${name}/`, region: 'x', files: [] }, { input: { id: name } });
    // What was asked for first comes last.
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    server.faults.push((request, response) => {
      if (request.url?.startsWith('/one/') !== true) return false;
      void held.then(() => response.writeHead(503).end());
      return true;
    });

    const first = from('one');
    const second = from('two');
    await expect.poll(() => server.asked.filter(({ url }) => url === '/two/both.txt').length).toBe(1);
    await setImmediate();
    letGo();
    await Promise.all([first, second]);

    expect(paths()).toEqual(['a.txt', 'b.txt', 'both.txt']);
    expect(text('both.txt')).toBe('of two');
  });
});

describe('a web server', () => {
  it('gives one file, named after its URL', async () => {
    const content = contentOf('<a>');
    const server = await loopbackSource((request, response) => sendContent(request, response, content));
    const { provide, paths, text } = inputsGround();

    await provide({ kind: 'http', url: `${server.origin}/x/my%20file.html?sig=1#top`, sha256: content.sha256 });

    expect(paths()).toEqual(['my file.html']);
    expect(text('my file.html')).toBe('<a>');
  });

  it('is asked with the query of a link, and is the same file with the next link where its checksum says so', async () => {
    const sha256 = createHash('sha256').update('hello').digest('hex');
    const server = await loopbackSource((request, response, url) =>
      url.search.startsWith('?token=good')
        ? sendContent(request, response, contentOf('hello'))
        : void response.writeHead(403).end(),
    );
    const { provide, text } = inputsGround();
    const source = { kind: 'http', url: `${server.origin}/a.txt`, sha256 } as const;

    const fetched = await provide(source, { credential: { query: 'token=good-1' } });
    const again = await provide(source, { job: 'job-2', credential: { query: 'token=good-2' } });

    expect([text('a.txt'), fetched.from_cache, again.from_cache]).toEqual(['hello', false, true]);
    expect(await reasonOf(provide(source, { job: 'job-3' }))).toMatch(/^input.refused/);
  });

  it('is refused where the file has another checksum', async () => {
    const server = await loopbackSource((request, response) => sendContent(request, response, contentOf('<a>')));
    const { provide } = inputsGround();

    const reason = await reasonOf(provide({ kind: 'http', url: `${server.origin}/x`, sha256: '0'.repeat(64) }));

    expect(reason).toBe('input.refused: The sha256 of what came is another one.');
    expect(server.asked.map(({ range }) => range)).toEqual(['bytes=0-0', undefined]);
  });

  it('may know nothing of lengths, versions and ranges', async () => {
    const server = await loopbackSource((_request, response) => {
      response.write('one ');
      response.end('two');
    });
    const { provide, text, progress } = inputsGround();

    const { bytes } = await provide({ kind: 'http', url: `${server.origin}/` });

    expect([bytes, text('download'), progress.at(-1)?.bytes_total]).toEqual([7, 'one two', undefined]);
  });

  it('may have an empty file', async () => {
    const server = await loopbackSource((request, response) => sendContent(request, response, contentOf('')));
    const { provide, text } = inputsGround();

    expect(await provide({ kind: 'http', url: `${server.origin}/empty` })).toMatchObject({ files: 1, bytes: 0 });
    expect(text('empty')).toBe('');
  });
});

describe('an Ollama registry', () => {
  it('gives a model as Ollama keeps it', async () => {
    const registry = await ollamaRegistry('library/tiny', 'latest', [weights, contentOf('{{ .Prompt }}'), weights]);
    const { dir, provide, paths, text } = inputsGround({ policy: { endpoints: { ollama: registry.origin } } });

    const before = process.umask(0o077);
    await provide({ kind: 'ollama', model: 'tiny' }).finally(() => process.umask(before));

    const blobs = [...new Set(registry.layers.map(({ sha256 }) => `blobs/sha256-${sha256}`))].sort();
    expect(paths()).toEqual([...blobs, 'manifests/registry.ollama.ai/library/tiny/latest']);
    expect(text('manifests/registry.ollama.ai/library/tiny/latest')).toBe(registry.manifest);
    expect(text(`blobs/sha256-${weights.sha256}`)).toBe('w'.repeat(5000));
    const modes = ['', 'blobs', blobs[0] ?? ''].map(
      (path) => statSync(join(dir, 'jobs/job-1/models', path)).mode & 0o777,
    );
    expect(modes).toEqual([0o755, 0o755, 0o444]);
  });

  it.each(['acme/other:7b', 'tiny:9', 'a b', '', '../x', 'http://x/y'])('has no model %j', async (name) => {
    const registry = await ollamaRegistry('library/tiny', 'latest', [weights]);
    const { provide } = inputsGround({ policy: { endpoints: { ollama: registry.origin } } });

    expect(await reasonOf(provide({ kind: 'ollama', model: name }))).toMatch(/^input.refused/);
  });

  it('is asked where its name says', async () => {
    const registry = await ollamaRegistry('acme/tiny', 'q4', [weights]);
    const { provide } = inputsGround({ policy: { endpoints: { ollama: registry.origin }, allow: [] } });

    expect(await reasonOf(provide({ kind: 'ollama', model: 'acme/tiny:q4' }))).toMatch(/^input.refused: Only https/);
    expect(await reasonOf(provide({ kind: 'ollama', model: '127.0.0.1:1/acme/tiny:q4' }))).toMatch(/not public/);
  });
});

describe('a file that is in the plan', () => {
  const payload = { kind: 'inline', file_name: 'payload.json', text: '{"größe": "1 µm"}' } as const;

  it('is laid as it is, for everyone to read, and nothing is asked for', async () => {
    const { dir, provide, paths, text } = inputsGround({ policy: { allow: [] } });

    const before = process.umask(0o077);
    const provided = await provide(payload).finally(() => process.umask(before));

    const bytes = Buffer.byteLength(payload.text);
    expect(provided).toMatchObject({ files: 1, bytes, from_cache: false });
    expect([paths(), text('payload.json')]).toEqual([['payload.json'], payload.text]);
    expect(statSync(join(dir, 'jobs/job-1/models/payload.json')).mode & 0o777).toBe(0o444);
  });

  it('may be empty', async () => {
    const { provide, text } = inputsGround();

    expect(await provide({ ...payload, text: '' })).toMatchObject({ files: 1, bytes: 0 });
    expect(text('payload.json')).toBe('');
  });

  it('is of its job alone: another with the same text does not learn that it was there', async () => {
    const { provide, text } = inputsGround();
    await provide(payload, { input: { cache_seconds: 3600 } });

    const again = await provide(payload, { job: 'job-2', input: { cache_seconds: 3600 } });

    expect([again.from_cache, text('payload.json', 'job-2')]).toEqual([false, payload.text]);
  });

  it('stays as it was where it is asked for again', async () => {
    const { provide, text } = inputsGround();
    const first = await provide(payload);

    expect(await provide(payload)).toEqual(first);
    expect(text('payload.json')).toBe(payload.text);
  });
});
