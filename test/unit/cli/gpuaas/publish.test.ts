import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeLayout } from '../../../support/oci-layout.ts';
import { runGpuaas } from '../../../support/run-gpuaas.ts';
import { anArtifact } from '../../../support/store-samples.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { testServer } from '../../../support/test-server.ts';

const folder = temporaryFolder('publish');
const smoke = readFileSync(
  join(resolve(import.meta.dirname, '../../../..'), 'fixtures/manifests/gpuaas/smoke-stack.yaml'),
  'utf8',
);

function file(name: string, text = smoke): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

/** A control plane of its own, and its command line. */
async function ground() {
  const server = await testServer();
  const run = (...words: readonly string[]) =>
    runGpuaas({ url: server.url, token: server.tokens['operator'] ?? '' }, ['apps', ...words]);
  const events = async () =>
    (await server.store.read((tx) => tx.events.list({ after: 0, limit: 1000 }))).map(({ type }) => type);
  return { ...server, run, events };
}

const promoted = (id: string, letter: string) => {
  const digest = `sha256:${letter.repeat(64)}`;
  return anArtifact({
    ...{ id, digest, platform_digest: digest, lifecycle: 'promoted' },
    promotions: [{ channel: 'prod', digest, actor: 'init', at: '2026-11-25T10:00:00.000Z', correlation_id: 'c' }],
  });
};

describe('gpuaas artifacts push', () => {
  it.each([
    ['revoked', { trust: 'revoked' }],
    ['retired', { lifecycle: 'retired' }],
  ] as const)('says of an image that was %s why, and what to do, before anything is sent', async (became, is) => {
    const server = await testServer();
    const layout = writeLayout(join(folder, became));
    const repository = '127.0.0.1:1/nobody/listens';
    const endings = [{ became, reason: 'It has a hole.', at: '2026-11-25T10:00:00.000Z', actor: 'init' }];
    const artifact = anArtifact({ name: 'runtime-cpu', digest: layout.digest, repository, endings, ...is });
    await server.store.write((tx) => tx.artifacts.insert(artifact));

    const words = ['artifacts', 'push', 'runtime-cpu', layout.folder, repository];
    const { status, err } = await runGpuaas({ url: server.url, token: server.tokens['operator'] ?? '' }, words);

    expect(status).toBe(3);
    expect(err).toContain(`it was ${became} for good: It has a hole. Build another image, and push that.`);
  });
});

describe('gpuaas apps publish', () => {
  it('brings a manifest of an unknown app to a published version, byte for byte, and says what is missing (G-10, G-16)', async () => {
    const { run, call, events } = await ground();
    const manifest = file('smoke.yaml');

    const { status, out, err } = await run('publish', manifest, '--as', '1', '--category', 'test');

    expect([status, out]).toEqual([0, expect.stringMatching(/^status +published$/m)]);
    expect(err).toContain('Not to be launched yet: None of its images is registered');
    expect(err).toContain('gpuaas apps entitlements grant smoke-stack --every-project');
    expect((await call('GET', '/api/v1/catalog/apps/smoke-stack/versions/1/manifest')).body).toBe(smoke);
    expect((await call('GET', '/api/v1/catalog/apps/smoke-stack')).body).toMatchObject({ category: 'test' });
    expect(await events()).toEqual(['app.added', 'app.version.added', 'app.version.published']);
  });

  it('changes nothing when it is repeated, and lets versions stand beside each other (G-16)', async () => {
    const { run, call, events } = await ground();
    const [first, second] = [
      file('first.yaml'),
      file('second.yaml', smoke.replace('display_name: ', 'display_name: Second ')),
    ];
    await run('publish', first, '--as', '1');
    const before = await events();

    const again = await run('publish', first, '--as', '1', '--json');

    expect([again.status, JSON.parse(again.out).status]).toEqual([0, 'published']);
    expect(await events()).toEqual(before);
    expect((await run('publish', second, '--as', '2', '--json')).status).toBe(0);
    const manifests = await Promise.all(
      ['1', '2'].map(
        async (version) => (await call('GET', `/api/v1/catalog/apps/smoke-stack/versions/${version}/manifest`)).body,
      ),
    );
    expect(manifests).toEqual([smoke, readFileSync(second, 'utf8')]);
  });

  it('refuses another manifest under a published version, and says what to do instead', async () => {
    const { run } = await ground();
    await run('publish', file('one.yaml'), '--as', '1');

    const { status, err } = await run('publish', file('two.yaml', `${smoke}\n# changed\n`), '--as', '1');

    expect(status).toBe(3);
    expect(err).toContain('Version 1 is published with another manifest, and that one never changes.');
    expect(err).toContain('Give this one another version.');
  });

  it('says of a version that was withdrawn that it takes another one, locked or not', async () => {
    const { run } = await ground();
    const manifest = file('gone.yaml');
    await run('publish', manifest, '--as', '1');
    await run('versions', 'withdraw', 'smoke-stack@1');

    const refused = [await run('publish', manifest, '--as', '1')];
    refused.push(await run('publish', manifest, '--as', '1', '--lock', 'prod'));

    for (const { status, err } of refused) {
      expect(status).toBe(3);
      expect(err).toContain('Version 1 is withdrawn, and that is for good. Publish its manifest as another version.');
    }
    expect((await run('publish', manifest, '--as', '2', '--json')).status).toBe(0);
  });

  it('goes on where it was interrupted, and takes a draft that was mended', async () => {
    const { run, call } = await ground();
    await run('add', 'smoke-stack', '--name', 'Smoke', '--summary', 'Card of its own', '--category', 'test');
    await run('versions', 'add', 'smoke-stack@1', file('draft.yaml', `${smoke}# a draft\n`));

    const { status } = await run('publish', file('mended.yaml'), '--as', '1', '--json');

    expect(status).toBe(0);
    const { body } = await call('GET', '/api/v1/catalog/apps/smoke-stack');
    expect(body).toMatchObject({ summary: 'Card of its own', versions: [{ version: '1', status: 'published' }] });
  });

  it('sends nothing of a manifest that is not valid, and says all that is wrong', async () => {
    const { run, events } = await ground();

    const { status, err } = await run(
      'publish',
      file('wrong.yaml', smoke.replace('schema_version: v1', 'schema_version: v2')),
      '--as',
      '1',
    );

    expect([status, await events()]).toEqual([2, []]);
    expect(err).toContain('/profile/schema_version: must be v1');
  });

  it('locks the version to what is promoted to a channel, and lock and unlock move it (G-243)', async () => {
    const { run, store } = await ground();
    await store.write((tx) => tx.artifacts.insert(promoted('a1', 'a')));
    const lockOf = (out: string) => JSON.parse(out).lock?.artifacts['runtime-cpu']?.artifact_id;

    const published = await run('publish', file('locked.yaml'), '--as', '1', '--lock', 'prod', '--json');
    await store.write((tx) => tx.artifacts.insert(promoted('a2', 'b')));
    const named = await run('versions', 'lock', 'smoke-stack@1', '--artifact', 'runtime-cpu=a2', '--json');
    const unlocked = await run('versions', 'unlock', 'smoke-stack@1', '--json');
    const unsaid = await run('versions', 'lock', 'smoke-stack@1', '--json');

    await run('versions', 'lock', 'smoke-stack@1', '--artifact', 'runtime-cpu=a2');
    const shown = await run('show', 'smoke-stack@1');

    expect(shown.out).toMatch(/^lock +at 2026\S+, actor \S+, correlation id \S+$/m);
    expect(shown.out).toMatch(/^ +artifacts: runtime-cpu: artifact id a2, digest sha256:b{64}$/m);
    expect(shown.out).not.toMatch(/[{}"]/);
    expect([published, named, unlocked].map(({ out }) => lockOf(out))).toEqual(['a1', 'a2', undefined]);
    expect([unsaid.status, JSON.parse(unsaid.out).failure.code]).toEqual([2, 'command.invalid']);
  });

  it('publishes nothing that it cannot lock (G-243)', async () => {
    const { run, call, events } = await ground();

    const { status, err } = await run('publish', file('unlocked.yaml'), '--as', '1', '--lock', 'prod');

    expect([status, err]).toEqual([3, expect.stringContaining('is promoted to prod')]);
    expect((await call('GET', '/api/v1/catalog/apps/smoke-stack/versions/1')).body.status).toBe('draft');
    expect(await events()).toEqual(['app.added', 'app.version.added']);
  });
});
