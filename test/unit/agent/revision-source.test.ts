/** Revisions that jobs are built from: fetched from the control plane, once, and kept by the host. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { controlPlaneOrigin } from '../../../src/agent/control-plane/origin.ts';
import { revisionSource } from '../../../src/agent/control-plane/revision-source.ts';
import { revisionsPath } from '../../../src/contract/signing.ts';
import { filesBelow, type GroundOptions, inputsGround, reasonOf } from '../../support/inputs-ground.ts';
import {
  bytesAsked,
  contentOf,
  cutAfter,
  type Fault,
  largeContent,
  loopbackSource,
  sendContent,
  status,
} from '../../support/loopback-source.ts';

const mebibyte = 1024 * 1024;
const tar = largeContent(3 * mebibyte + 11);
const small = contentOf('another revision');

/** A control plane that has revisions, and hosts that fetch them, whatever places jobs may name. */
async function controlPlane() {
  const session = { bearer: 'secret-bearer' as string | undefined };
  const server = await loopbackSource(async (request, response, url) => {
    const content = [tar, small].find(({ sha256 }) => url.pathname === `${revisionsPath}/${sha256}`);
    if (request.headers.authorization !== 'Bearer secret-bearer') response.writeHead(401).end();
    else if (content) await sendContent(request, response, content);
    else response.writeHead(404).end();
  });
  const revisions = revisionSource(controlPlaneOrigin(server.origin), () => session.bearer);
  const host = ({ policy, ...options }: GroundOptions = {}) => {
    const ground = inputsGround({ revisions, policy: { allow: [], ...policy }, ...options });
    const fetch = async (content: { sha256: string; size: number } = tar, over: Fetch = {}) =>
      await ground.inputs.withRevision(
        { project_id: 'project-1', sha256: content.sha256, bytes: content.size, ...over.wanted },
        { signal: over.signal ?? AbortSignal.timeout(60_000), onProgress: (now) => ground.progress.push(now) },
        over.use ?? (async (file) => readFileSync(file)),
      );
    return { ...ground, fetch };
  };
  return { ...server, session, host };
}

interface Fetch {
  readonly wanted?: { readonly project_id?: string; readonly bytes?: number; readonly sha256?: string };
  readonly signal?: AbortSignal;
  readonly use?: (file: string) => Promise<Buffer>;
}

const whole = (content: typeof tar) => Buffer.concat([...content.read(0, content.size)]);

describe('a revision', () => {
  it('is fetched by the bearer of the session, told of, and not asked for again', async () => {
    const { asked, host } = await controlPlane();
    const { fetch, progress, dir } = host();

    const first = await fetch();
    const again = await fetch();

    expect([first.equals(whole(tar)), again.equals(first)]).toEqual([true, true]);
    expect(asked.map(({ url, authorization }) => [url, authorization])).toEqual([
      [`${revisionsPath}/${tar.sha256}`, 'Bearer secret-bearer'],
    ]);
    expect(progress.at(-1)).toEqual({ bytes: tar.size, bytes_total: tar.size, files: 1, files_total: 1 });
    const all = filesBelow(dir).flatMap((path) => [path, readFileSync(join(dir, path), 'latin1')]);
    expect(all.filter((text) => text.includes('secret-bearer'))).toEqual([]);
  });

  it('is fetched once for all who want it at the same time', async () => {
    const { asked, host } = await controlPlane();
    const { fetch } = host();

    const files = await Promise.all([fetch(), fetch(), fetch()]);

    expect(files.map((file) => file.equals(whole(tar)))).toEqual([true, true, true]);
    expect(asked).toHaveLength(1);
  });

  it('goes on where it was cut, in a later life of the agent as well', async () => {
    const { asked, faults, host } = await controlPlane();
    const killed = new AbortController();
    const { fetch, dir } = host();
    faults.push(cutAfter(mebibyte, tar), (_request, _response) => {
      killed.abort(new Error('killed'));
      return true;
    });
    await expect(fetch(tar, { signal: killed.signal })).rejects.toThrow('killed');

    const file = await host({ policy: { dir } }).fetch();

    expect(file.equals(whole(tar))).toBe(true);
    expect(asked.map(({ range }) => range)).toEqual([undefined, ...Array(2).fill(`bytes=${mebibyte}-${tar.size - 1}`)]);
    expect(bytesAsked(asked.slice(2), tar.size)).toBe(tar.size - mebibyte);
  });

  it('waits for a session, and for a control plane that has trouble', async () => {
    const { faults, host, session } = await controlPlane();
    const { fetch, pauses } = host();
    session.bearer = undefined;
    faults.push(status(503), status(401), (_request, response) => {
      response.destroy();
      return true;
    });

    const fetched = fetch();
    session.bearer = 'secret-bearer';

    expect((await fetched).equals(whole(tar))).toBe(true);
    expect(pauses.length).toBeGreaterThanOrEqual(3);
  });

  it.each<[string, Fault, string]>([
    ['another one than was asked for', answers(200, 'x'.repeat(tar.size)), 'sha256'],
    ['longer than was said', answers(200, 'x'.repeat(tar.size + 1)), 'replaced'],
    ['nowhere that this host may look', answers(404), 'status 404'],
    ['somewhere else', status(302, { location: 'http://127.0.0.1:1/' }), 'status 302'],
  ])('that is %s is refused at once, and nothing of it is kept', async (_what, fault, reason) => {
    const { asked, faults, host } = await controlPlane();
    const { fetch, dir } = host();
    faults.push(fault);

    expect(await reasonOf(fetch())).toMatch(new RegExp(`^revision.failed: .*${reason}`));

    expect([asked.length, filesBelow(join(dir, 'cache/objects'))]).toEqual([1, []]);
  });

  it('has failed when the control plane stays away', async () => {
    const { faults, host } = await controlPlane();
    faults.push(...Array<Fault>(100).fill(status(503)));

    expect(await reasonOf(host().fetch())).toMatch(/^revision.failed: It answered with status 503/);
  });

  it('of one project is not another one’s', async () => {
    const { asked, host } = await controlPlane();
    const { fetch } = host();
    await fetch();

    await fetch(tar, { wanted: { project_id: 'project-2' } });

    expect(asked).toHaveLength(2);
  });

  it('that there is no room for is not begun', async () => {
    const { asked, host } = await controlPlane();
    const { fetch } = host({ readFree: async () => tar.size - 1 });

    expect(await reasonOf(fetch())).toMatch(/^disk.full: /);
    expect(asked).toEqual([]);
  });

  it('stays while somebody works with it, and is the first to go that was used least recently', async () => {
    const { host, asked } = await controlPlane();
    const { fetch, inputs, cached, later } = host({ policy: { max_gib: tar.size / 1024 ** 3 } });
    await fetch(tar, {
      use: async (file) => {
        later(1000);
        await fetch(small);
        await inputs.prune();
        expect([existsSync(file), cached().toSorted()]).toEqual([true, [tar.size]]);
        return Buffer.alloc(0);
      },
    });
    later(1000);

    await fetch(small);
    await inputs.prune();

    expect([cached(), asked.length]).toEqual([[small.size], 3]);
  });

  it('cannot be had where there is no control plane', async () => {
    const { inputs } = inputsGround();
    const wanted = { project_id: 'project-1', sha256: tar.sha256, bytes: tar.size };
    const options = { signal: AbortSignal.timeout(60_000), onProgress: () => undefined };

    expect(await reasonOf(inputs.withRevision(wanted, options, async () => undefined))).toMatch(/^task.unsupported/);
  });
});

function answers(code: number, body = ''): Fault {
  return (_request, response) => {
    response.writeHead(code, { 'content-length': Buffer.byteLength(body) }).end(body);
    return true;
  };
}
