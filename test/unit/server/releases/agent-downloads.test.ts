/** The downloader of the agent against the control plane, with a line between them that is cut. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { controlPlaneOrigin } from '../../../../src/agent/control-plane/origin.ts';
import { download, fetchPaper } from '../../../../src/agent/update/download.ts';
import { maxPaperBytes, releasePapers } from '../../../../src/contract/release.ts';
import { systemClock } from '../../../../src/kit/clock.ts';
import { trustRelease } from '../../../../src/policy/release-trust.ts';
import { startCuttingProxy } from '../../../support/cutting-proxy.ts';
import { atFileEnd } from '../../../support/file-end.ts';
import { aNode } from '../../../support/launch-samples.ts';
import { makeRelease, makeSigners } from '../../../support/releases.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { testServer } from '../../../support/test-server.ts';

const signers = makeSigners();
const server = await testServer({}, { releaseRoot: signers.root });
const made = makeRelease(signers, { agentBytes: 16 * 1024 ** 2 });
const { version } = made.release;
await server.call('POST', '/api/v1/releases', { body: made.papers });
for (const [name, bytes] of made.files) {
  await server.call('PUT', `/api/v1/releases/${version}/files/${name}`, {
    ...{ body: bytes.toString('latin1'), headers: { 'content-type': 'application/octet-stream' } },
  });
}
const bearer = `node-1.1.${'b'.repeat(43)}`;
const bearer_hash = createHash('sha256').update(bearer).digest('base64url');
await server.store.write((tx) => tx.nodes.insert(aNode({ id: 'node-1', bearer_hash, epoch_confirmed: 1 })));
const proxy = await startCuttingProxy(Number(new URL(server.url).port));
atFileEnd(() => proxy.close());
const options = {
  source: {
    origin: controlPlaneOrigin(`http://127.0.0.1:${proxy.port}`),
    bearer: () => bearer,
    serverNow: () => undefined,
  },
  // However long it would wait before it goes on.
  ...{ clock: { ...systemClock, pause: () => systemClock.pause(1) }, signal: new AbortController().signal },
};

it.each([version, 'stable'])('has papers that the host believes, asked for as %s', async (release) => {
  const [manifest, manifestSignature, keys, keysSignature] = await Promise.all(
    [releasePapers.manifest, releasePapers.manifestSignature, releasePapers.keys, releasePapers.keysSignature].map(
      (name) => fetchPaper(name, maxPaperBytes, { ...options, release }),
    ),
  );
  const papers = { manifest, manifestSignature, keys, keysSignature } as Parameters<typeof trustRelease>[0];

  expect(trustRelease(papers, signers.root).release).toEqual(made.release);
});

it('has a file whole, though the line was cut twice, and fetches no byte of it twice', async () => {
  const [artifact] = made.release.artifacts;
  if (!artifact) throw new Error('a release has files');
  const file = join(temporaryFolder('agent-downloads'), artifact.name);
  const at: number[] = [];
  const cuts = [4, 9].map((mebibytes) => mebibytes * 1024 ** 2);

  await download({
    ...{ ...options, release: version, artifact, file },
    onBytes: (bytes) => {
      at.push(bytes);
      if (bytes < (cuts[0] ?? Number.POSITIVE_INFINITY)) return;
      cuts.shift();
      proxy.cut();
      setImmediate(() => proxy.mend());
    },
  });

  expect(cuts).toEqual([]);
  expect(at.at(-1)).toBe(artifact.size);
  expect(at.filter((bytes, index) => bytes < (at[index - 1] ?? 0) - 1024 ** 2)).toEqual([]);
  expect(readFileSync(file).equals(made.files.get(artifact.name) as Buffer)).toBe(true);
});
