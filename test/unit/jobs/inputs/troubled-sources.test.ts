/** Sources that are cut, busy, away or slow, and such that lie. */
import { getEventListeners } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesBelow, inputsGround, reasonOf } from '../../../support/inputs-ground.ts';
import {
  type Content,
  contentOf,
  cutAfter,
  type Fault,
  largeContent,
  loopbackSource,
  sendContent,
  status,
} from '../../../support/loopback-source.ts';
import { s3Server } from '../../../support/s3-server.ts';

const mebibyte = 1024 * 1024;
const large = largeContent(2 * mebibyte + 17);

async function serving(content: Content, headers?: Record<string, string>) {
  const server = await loopbackSource((request, response) => sendContent(request, response, content, headers));
  return { ...server, source: { kind: 'http', url: `${server.origin}/data.bin` } as const };
}

describe('a source that is cut', () => {
  it('goes on where it was cut, and what comes is whole', async () => {
    const { source, asked, faults } = await serving(large);
    const { provide, pauses } = inputsGround();
    faults.push(cutAfter(mebibyte, large), cutAfter(mebibyte / 2, large));

    await provide({ ...source, sha256: large.sha256 });

    const starts = asked.slice(1).map(({ range = 'bytes=0-' }) => Number(/^bytes=(\d+)-/.exec(range)?.[1]));
    expect([starts.length, pauses.length]).toEqual([3, 2]);
    expect(starts[0]).toBe(0);
    expect(starts[1]).toBeGreaterThan(0);
    expect(starts[2]).toBeGreaterThan(starts[1] ?? 0);
  });

  it('sends all of it again where it knows no ranges', async () => {
    const { source, faults } = await serving(large);
    const { provide, progress } = inputsGround();
    const whole: Fault = (_request, response) => {
      response.writeHead(200, { 'content-length': large.size, etag: large.etag });
      response.end(Buffer.concat([...large.read(0, large.size)]));
      return true;
    };
    faults.push(
      cutAfter(mebibyte, large),
      (request, response) => request.headers.range !== 'bytes=0-0' && whole(request, response),
    );

    await provide({ ...source, sha256: large.sha256 });

    expect(progress.at(-1)).toEqual({ bytes: large.size, bytes_total: large.size, files: 1, files_total: 1 });
  });

  it('has failed when it brings nothing any more, however often', async () => {
    const { source, faults } = await serving(large);
    const { provide, pauses, dir } = inputsGround();
    faults.push(...Array<Fault>(100).fill(cutAfter(0, large)));

    expect(await reasonOf(provide(source))).toMatch(/^input.failed: /);
    expect(pauses).toHaveLength(8);
    expect(filesBelow(join(dir, 'cache/objects'))).toEqual([]);
  });

  it('is not mixed with what it has replaced meanwhile', async () => {
    const { source, faults } = await serving(large, { etag: '"of another"' });
    const { provide } = inputsGround();
    faults.push(
      (_request, response) => {
        response.writeHead(206, { etag: large.etag, 'content-range': `bytes 0-0/${large.size}` }).end('x');
        return true;
      },
      cutAfter(mebibyte, large),
    );

    expect(await reasonOf(provide(source))).toBe(
      'input.refused: The source has replaced the file while it was fetched.',
    );
  });

  it('is noticed to have replaced it also where it knows no conditions', async () => {
    const { source, faults } = await serving(large);
    const { provide } = inputsGround();
    const other: Fault = (request, response) => {
      const [, first = ''] = /^bytes=(\d+)-/.exec(request.headers.range ?? '') ?? [];
      if (first === '' || first === '0') return false;
      response.writeHead(206, { etag: '"other"', 'content-range': `bytes ${first}-${large.size - 1}/${large.size}` });
      response.end(Buffer.alloc(large.size - Number(first)));
      return true;
    };
    faults.push(other, cutAfter(mebibyte, large));

    expect(await reasonOf(provide(source))).toBe(
      'input.refused: The source has replaced the file while it was fetched.',
    );
  });

  it('has failed where it knows no ranges and never comes to its end', async () => {
    const { source, faults, asked } = await serving(large);
    const { provide } = inputsGround();
    const cutWhole: Fault = (request, response) => {
      if (request.headers.range === 'bytes=0-0') return false;
      response.writeHead(200, { etag: large.etag, 'content-length': large.size });
      const bytes = asked.length % 2 === 0 ? mebibyte : mebibyte / 2;
      response.write(Buffer.concat([...large.read(0, bytes)]), () => response.destroy());
      return true;
    };
    faults.push(...Array<Fault>(50).fill(cutWhole));

    expect(await reasonOf(provide(source))).toMatch(/^input.failed/);
    expect(asked.length).toBeLessThan(40);
  });

  it.each([
    ['less', 'short'],
    ['more', 'x'.repeat(200)],
  ])('has sent %s than it said, and that is not taken', async (_what, text) => {
    const content = contentOf('y'.repeat(100));
    const { source, faults } = await serving(content);
    const { provide } = inputsGround();
    const lie: Fault = (request, response) => {
      if (request.headers.range === 'bytes=0-0') return false;
      response.writeHead(200, { etag: content.etag });
      response.end(text);
      return true;
    };
    faults.push(...Array<Fault>(100).fill(lie));

    expect(await reasonOf(provide(source))).toMatch(/^input\.(failed: It ended before|refused: The source sends more)/);
  });
});

describe('a source that is busy', () => {
  it.each([408, 429, 500, 502, 503, 504])('and says %i is asked again', async (code) => {
    const { source, faults } = await serving(contentOf('a'));
    const { provide, pauses } = inputsGround();
    faults.push(status(code), status(code));

    await provide(source);

    expect(pauses).toHaveLength(2);
  });

  it('is given the time that it wants, within reason', async () => {
    const { source, faults } = await serving(contentOf('a'));
    const { provide, pauses } = inputsGround();
    faults.push(status(429, { 'retry-after': '7' }), status(429, { 'retry-after': '99999999' }));

    await provide(source);

    expect(pauses).toEqual([7000, 120_000]);
  });

  it('has failed when it stays so', async () => {
    const { source, faults } = await serving(contentOf('a'));
    const { provide, pauses } = inputsGround();
    faults.push(...Array<Fault>(100).fill(status(503)));

    expect(await reasonOf(provide(source))).toBe('input.failed: The source answered with status 503.');
    expect(Math.max(...pauses)).toBeLessThanOrEqual(30_000);
  });

  it.each([400, 401, 403, 404, 410])('is not asked again after %i', async (code) => {
    const { source, asked, faults } = await serving(contentOf('a'));
    const { provide } = inputsGround();
    faults.push(status(code));

    expect(await reasonOf(provide(source))).toMatch(/^input.refused/);
    expect(asked).toHaveLength(1);
  });

  it('has failed where nobody listens, or nothing comes', async () => {
    const { source, close } = await serving(contentOf('a'));
    close();
    const silent = await loopbackSource(() => undefined);
    const { provide } = inputsGround({ idleMs: 20 });

    expect(await reasonOf(provide(source))).toMatch(/^input.failed: .*ECONNREFUSED/);
    expect(await reasonOf(provide({ kind: 'http', url: silent.origin }))).toBe('input.failed: Nothing came any more.');
  });

  it('holds nobody who has gone', async () => {
    const silent = await loopbackSource(() => undefined);
    const { provide } = inputsGround();
    const stop = new AbortController();
    const work = provide({ kind: 'http', url: silent.origin }, { signal: stop.signal });
    await expect.poll(() => silent.asked.length).toBe(1);

    stop.abort(new Error('cancelled'));

    await expect(work).rejects.toThrow('cancelled');
    expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
  });
});

describe('a redirect', () => {
  it.each([
    ['the metadata of a cloud', 'http://169.254.169.254/latest/meta-data/', /Only https/],
    ['the metadata of a cloud by https', 'https://169.254.169.254/latest/', /not public/],
    ['a host of the same network', 'https://10.0.0.7/', /not public/],
    ['this host', 'https://[::1]:1/', /not public/],
    ['this host under a name', 'https://localhost:1/', /not public/],
    ['a file', 'file:///etc/passwd', /https URLs/],
    ['a user in a URL', 'https://a:b@example.com/', /https URLs/],
    ['no URL', 'http://[/', /no URL/],
  ])('to %s is refused', async (_what, location, reason) => {
    const { source, faults } = await serving(contentOf('a'));
    const { provide, pauses } = inputsGround({ policy: { allow: [new URL(source.url).host] } });
    faults.push(status(302, { location }));

    expect(await reasonOf(provide(source))).toMatch(reason);
    expect(pauses).toEqual([]);
  });

  it('without an end is refused', async () => {
    const server = await loopbackSource((_request, response) => void response.writeHead(302, { location: '/a' }).end());
    const { provide } = inputsGround();

    expect(await reasonOf(provide({ kind: 'http', url: server.origin }))).toMatch(/redirects without an end/);
    expect(server.asked.length).toBeLessThan(20);
  });

  it('takes no signature to another origin', async () => {
    const other = await serving(contentOf('a'));
    const key = { id: 'AKID', secret: 'secret', region: 'r' };
    const bucket = await s3Server([{ name: 'data', objects: { x: contentOf('a') }, key }], { style: 'path' });
    const { provide } = inputsGround();
    bucket.faults.push(status(307, { location: `${other.origin}/x` }));

    await provide(
      { kind: 's3', url: `${bucket.origin}/data/x`, region: 'r', files: [] },
      { credential: { access_key_id: 'AKID', secret_access_key: 'secret' } },
    );

    expect(bucket.asked[0]?.authorization).toContain('AWS4-HMAC-SHA256');
    expect(other.asked.map(({ authorization }) => authorization)).toEqual([undefined]);
  });
});

describe('a name', () => {
  const answering = (...answers: string[][]) => {
    const asked: string[] = [];
    const lookup = (name: string, _options: object, done: (error: null, found: object[]) => void) => {
      const found = answers[Math.min(asked.length, answers.length - 1)] ?? [];
      asked.push(name);
      done(
        null,
        found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    };
    return { asked, lookup: lookup as never };
  };

  it('that leads to a private address is refused, also beside a public one', async () => {
    for (const addresses of [['127.0.0.1'], ['1.1.1.1', '10.0.0.1'], ['::1']]) {
      const { lookup } = answering(addresses);
      const { provide, pauses } = inputsGround({ lookup, policy: { allow: [] } });

      expect(await reasonOf(provide({ kind: 'http', url: 'https://rebind.example/x' }))).toMatch(/not public/);
      expect(pauses).toEqual([]);
    }
  });

  it('that leads elsewhere the second time is judged the second time', async () => {
    const server = await serving(contentOf('a'.repeat(100)));
    const { port } = new URL(server.origin);
    const { asked, lookup } = answering(['127.0.0.1'], ['127.0.0.2']);
    const { provide, pauses } = inputsGround({ lookup, policy: { allow: ['127.0.0.1/32'] } });
    server.faults.push((_request, response) => {
      response.writeHead(302, { location: `http://rebind.example:${port}/again`, connection: 'close' }).end();
      return true;
    });

    const reason = await reasonOf(provide({ kind: 'http', url: `http://rebind.example:${port}/x` }));

    expect(reason).toMatch(/^input.refused: Only https/);
    expect([asked.length, server.asked.map(({ url }) => url), pauses]).toEqual([2, ['/x'], []]);
  });
});

describe('names of files', () => {
  const bucketWith = async (keys: readonly string[]) => {
    const objects = Object.fromEntries(keys.map((key) => [`in/${key}`, contentOf('x')]));
    const server = await s3Server([{ name: 'data', objects }], { style: 'path' });
    return { kind: 's3', url: `${server.origin}/data/in/`, region: 'r', files: [] } as const;
  };

  it.each([
    ...['../x', 'a/../../x', '..', '.', 'a/./b', '/etc/passwd', '//x', 'a//b', 'nul\0byte', 'line\nbreak'],
    ...['x'.repeat(256), `${'deep/'.repeat(300)}x`],
  ])('that cannot be, such as %j, are refused before anything is fetched', async (path) => {
    const source = await bucketWith(['good', path]);
    const { dir, provide } = inputsGround();
    writeFileSync(join(dir, 'outside'), '');

    expect(await reasonOf(provide(source))).toBe('input.refused: The source has a file whose name cannot be used.');
    expect(filesBelow(dir).filter((name) => name.includes('jobs/'))).toEqual([]);
  });

  it('that are in the way of each other are refused', async () => {
    const { provide } = inputsGround();

    expect(await reasonOf(provide(await bucketWith(['a', 'a/b'])))).toMatch(/a file and a folder of one name/);
    await provide(await bucketWith(['c']), { input: { id: 'one' } });
    expect(await reasonOf(provide(await bucketWith(['c/d']), { input: { id: 'two' } }))).toMatch(/Another input has/);
    expect(await reasonOf(provide(await bucketWith([]), { input: { id: 'three' } }))).toMatch(/no file/);
  });

  it('that look dangerous and are not stay what they are', async () => {
    const names = ['__proto__', 'constructor', '-rf', '..a', 'a..', '~', '$(x)', 'back\\slash', '.hidden'];
    const { provide, paths } = inputsGround();

    await provide(await bucketWith(names));

    expect(paths()).toEqual(names.sort());
  });
});

describe('a bucket of a stranger', () => {
  const listing = (page: string): Fault => {
    let token = 0;
    return (_request, response) => {
      token += 1;
      const next = `<IsTruncated>true</IsTruncated><NextContinuationToken>${token}</NextContinuationToken>`;
      response.end(`<ListBucketResult>${page}${next}</ListBucketResult>`);
      return true;
    };
  };
  const entry = (key: string) => `<Contents><Key>${key}</Key><ETag>"e"</ETag><Size>1</Size></Contents>`;

  it.each([
    ['has a list without an end', entry('a').repeat(60_000), /^input.refused: The bucket has more than 100000 objects/],
    [
      'begins what it never ends',
      '<Contents>'.repeat(300_000),
      /^input.refused: The list of the bucket cannot be read/,
    ],
  ])('%s', async (_what, page, reason) => {
    const { origin, faults } = await s3Server([], { style: 'host' });
    const { provide } = inputsGround();
    faults.push(...Array<Fault>(10).fill(listing(page)));

    expect(await reasonOf(provide({ kind: 's3', url: `${origin}/`, region: 'x', files: [] }))).toMatch(reason);
  });
});
