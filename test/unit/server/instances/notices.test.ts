/** What people with running instances are told when somebody decides about their image or their version. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { AppInstance } from '../../../../src/server/db/entities/app-instance.ts';
import { lifecycles, trusts } from '../../../../src/server/db/entities/artifact.ts';
import { noticesOf } from '../../../../src/server/instances/notices.ts';
import { anApp, aVersion } from '../../../support/launch-samples.ts';
import { anArtifact, anInstance } from '../../../support/store-samples.ts';
import { testServer } from '../../../support/test-server.ts';

const { store, call } = await testServer();
const version = '/api/v1/catalog/apps/jupyterlab/versions/2026.04-preview';
await store.write(async (tx) => {
  await tx.apps.insert(anApp());
});

const running: Partial<AppInstance>[] = [
  { id: 'i1' },
  { id: 'i2', project_id: 'p2', state: 'stopped' },
  { id: 'other', artifact_id: 'a2', app_version: '1' },
  { id: 'over', state: 'decommissioned' },
];

beforeEach(async () => {
  await store.write(async (tx) => {
    for (const { id } of await tx.app_instances.list()) await tx.app_instances.delete(id);
    for (const { id } of await tx.artifacts.list()) await tx.artifacts.delete(id);
    for (const { id } of await tx.app_versions.list()) await tx.app_versions.delete(id);
    await tx.app_versions.insert(aVersion());
    await tx.artifacts.insert(anArtifact());
    await tx.artifacts.insert(anArtifact({ id: 'a2', name: 'runtime-other' }));
    for (const given of running) await tx.app_instances.insert(anInstance(given));
  });
});

const told = async () => {
  const events = await store.read((tx) => tx.events.list({ after: 0, limit: 1000 }));
  return events.filter(({ subject }) => subject.kind === 'app_instance');
};
const noticesAt = async (id: string) => {
  const { body } = await call('GET', `/api/v1/app-instances/${id}`);
  return body.notices.map(({ code }: { code: string }) => code);
};

describe('an instance whose image or version is decided about', () => {
  it.each(['deprecate', 'retire', 'revoke'])(
    'is told once with the reason when an operator does %s, with its owner; others are not',
    async (action) => {
      const before = (await told()).length;
      const code = `artifact_${action.replace(/e?$/, 'ed')}`;
      const body = { reason: 'CVE-2026-1.' };

      await call('POST', `/api/v1/artifacts/a1/${action}`, { as: 'operator', body });
      await call('POST', `/api/v1/artifacts/a1/${action}`, { as: 'operator', body });

      const events = (await told()).slice(before);
      expect(events.map(({ subject, type, project_id }) => [subject.id, type, project_id])).toEqual([
        ['i1', `apps.instance.${code}`, 'p1'],
        ['i2', `apps.instance.${code}`, 'p2'],
      ]);
      expect(events[0]).toMatchObject({
        message: expect.stringContaining('CVE-2026-1.'),
        actor: expect.stringMatching(/^token:/),
      });
      expect(await noticesAt('i1')).toEqual([code]);
      expect((await call('GET', '/api/v1/app-instances/i1', { as: 'viewer' })).body.notices).toMatchObject([
        { reason: 'CVE-2026-1.' },
      ]);
      expect((await call('GET', '/api/v1/artifacts/a1', { as: 'viewer' })).body.endings).toEqual([
        {
          became: code.replace('artifact_', ''),
          reason: 'CVE-2026-1.',
          at: expect.any(String),
          actor: expect.any(String),
        },
      ]);
      expect(await noticesAt('other')).toEqual([]);
      expect(await noticesAt('over')).toEqual([]);
      expect((await call('GET', '/api/v1/app-instances/i1')).body.state).toBe('running');
    },
  );

  it('has the reason of each decision, the newest where one came after the other', async () => {
    await call('POST', '/api/v1/artifacts/a1/deprecate', { as: 'operator', body: { reason: 'There is a newer one.' } });
    await call('POST', '/api/v1/artifacts/a1/retire', { as: 'operator', body: { reason: 'Nobody builds it.' } });
    await call('POST', '/api/v1/artifacts/a1/revoke', { as: 'operator', body: { reason: 'CVE-2026-2.' } });

    const { body } = await call('GET', '/api/v1/app-instances/i1');

    expect(body.notices.map(({ code, reason }: { code: string; reason: string }) => [code, reason])).toEqual([
      ['artifact_revoked', 'CVE-2026-2.'],
      ['artifact_retired', 'Nobody builds it.'],
    ]);
  });

  it('says what the registry said where its image is not there any more', () => {
    const verification = { at: '2026-11-25T10:00:00.000Z', actor: 't1', message: 'The registry has no such manifest.' };

    expect(noticesOf({ lifecycle: 'published', trust: 'failed', verification }, undefined)).toMatchObject([
      { code: 'artifact_failed', reason: 'The registry has no such manifest.' },
    ]);
  });

  it('is told when its version is withdrawn', async () => {
    const before = (await told()).length;

    await call('POST', `${version}/withdraw`, { as: 'operator' });

    const events = (await told()).slice(before);
    expect(events.map(({ subject, type }) => [subject.id, type])).toEqual([
      ['i1', 'apps.instance.version_withdrawn'],
      ['i2', 'apps.instance.version_withdrawn'],
    ]);
    expect(await noticesAt('i1')).toEqual(['version_withdrawn']);
  });

  it('is not told by a refused decision, and the decision and what is told of it are one', async () => {
    await call('POST', '/api/v1/artifacts/a1/revoke', { as: 'operator', body: { reason: 'A hole.' } });
    const before = (await told()).length;

    const refused = await call('POST', '/api/v1/artifacts/a1/revoke', { as: 'member', body: { reason: 'Me too.' } });

    expect(refused.status).toBe(403);
    const all = await store.read((tx) => tx.events.list({ after: 0, limit: 1000 }));
    const decision = all.findLast(({ type }) => type === 'artifact.revoked');
    const notices = all.filter(({ type }) => type === 'apps.instance.artifact_revoked').slice(-2);
    expect(new Set(notices.map(({ correlation_id }) => correlation_id))).toEqual(new Set([decision?.correlation_id]));
    expect((await told()).length).toBe(before);
  });

  it.each(lifecycles.flatMap((lifecycle) => trusts.map((trust) => [lifecycle, trust] as const)))(
    'says of %s and %s what has happened, and nothing of what has not',
    (lifecycle, trust) => {
      const codes = noticesOf({ lifecycle, trust, verification: null }, { status: 'published' }).map(
        ({ code }) => code,
      );

      const wanted = [trust, lifecycle].filter((state) =>
        ['revoked', 'failed', 'deprecated', 'retired'].includes(state),
      );
      expect(codes).toEqual(wanted.map((state) => `artifact_${state}`));
    },
  );
});
