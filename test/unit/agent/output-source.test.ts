/** Outputs of jobs that another attempt goes on with: fetched from the control plane, to the path that they came from. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { controlPlaneOrigin } from '../../../src/agent/control-plane/origin.ts';
import { revisionSource } from '../../../src/agent/control-plane/revision-source.ts';
import { jobOutputsPath } from '../../../src/contract/signing.ts';
import { filesBelow, type GroundOptions, inputsGround, reasonOf } from '../../support/inputs-ground.ts';
import { contentOf, cutAfter, largeContent, loopbackSource, sendContent } from '../../support/loopback-source.ts';

const mebibyte = 1024 * 1024;
const checkpoint = largeContent(2 * mebibyte + 7);

/** A control plane that has outputs of `job-1`. */
async function controlPlane(...contents: readonly (typeof checkpoint)[]) {
  const server = await loopbackSource(async (request, response, url) => {
    const content = contents.find(({ sha256 }) => url.pathname === `${jobOutputsPath}/job-1/${sha256}`);
    if (request.headers.authorization !== 'Bearer secret-bearer') response.writeHead(401).end();
    else if (content) await sendContent(request, response, content);
    else response.writeHead(404).end();
  });
  const revisions = revisionSource(controlPlaneOrigin(server.origin), () => 'secret-bearer');
  const host = ({ policy, ...options }: GroundOptions = {}) =>
    inputsGround({ revisions, policy: { allow: [], ...policy }, ...options });
  return { ...server, host };
}

const outputOf = (content: { sha256: string; size: number }, over: { job_id?: string; path?: string } = {}) => ({
  ...{ kind: 'output' as const, job_id: 'job-1', name: 'checkpoint', sha256: content.sha256, bytes: content.size },
  ...{ path: './ckpt/latest.pt', media_type: 'application/octet-stream' as const, ...over },
});

describe('an output of a job', () => {
  it('is laid where it came from, by the bearer of the session and whatever places jobs may name', async () => {
    const { asked, host } = await controlPlane(checkpoint);
    const { provide, paths } = host();

    expect(await provide(outputOf(checkpoint))).toMatchObject({ files: 1, bytes: checkpoint.size, from_cache: false });

    expect(paths()).toEqual(['ckpt/latest.pt']);
    expect(asked.map(({ url, authorization }) => [url, authorization])).toEqual([
      [`${jobOutputsPath}/job-1/${checkpoint.sha256}`, 'Bearer secret-bearer'],
    ]);
  });

  it('goes on where it was cut', async () => {
    const { asked, faults, host } = await controlPlane(checkpoint);
    faults.push(cutAfter(mebibyte, checkpoint));

    expect(await host().provide(outputOf(checkpoint))).toMatchObject({ bytes: checkpoint.size });

    expect(asked.map(({ range }) => range)).toEqual([undefined, `bytes=${mebibyte}-${checkpoint.size - 1}`]);
  });

  it('is the newer one where that comes to the same path later, and not what was kept of the one before', async () => {
    const [older, newer] = [contentOf('older'), contentOf('newer')];
    const { host } = await controlPlane(older, newer);
    const { provide, text } = host();
    await provide(outputOf(older));

    await provide(outputOf(newer), { job: 'job-2' });

    expect([text('ckpt/latest.pt'), text('ckpt/latest.pt', 'job-2')]).toEqual(['older', 'newer']);
  });

  it('that is damaged, or not to be had, is refused, and nothing of it is laid', async () => {
    const good = contentOf('good');
    const { host } = await controlPlane({ ...contentOf('evil'), sha256: good.sha256 });
    const { provide, dir } = host();

    expect(await reasonOf(provide(outputOf(good)))).toMatch(/^input.refused: .*sha256/);
    expect(await reasonOf(provide(outputOf(contentOf('gone'))))).toMatch(/status 404/);
    expect(filesBelow(dir).filter((path) => path.startsWith(join('jobs', 'job-1')))).toEqual([]);
  });

  it.each(['../latest.pt', 'a/../../latest.pt', '/etc/passwd'])(
    'at %s is refused before it is asked for',
    async (path) => {
      const { asked, host } = await controlPlane(checkpoint);

      expect(await reasonOf(host().provide(outputOf(checkpoint, { path })))).toMatch(/^input.refused: .*name/);
      expect(asked).toEqual([]);
    },
  );

  it('cannot be had without a control plane', async () => {
    expect(await reasonOf(inputsGround().provide(outputOf(checkpoint)))).toMatch(/^input.refused: .*no control plane/);
  });
});
