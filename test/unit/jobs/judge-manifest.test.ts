import { describe, expect, it } from 'vitest';
import { openHostJobs } from '../../../src/agent/host-jobs.ts';
import { AgentError, failures } from '../../../src/contract/failures.ts';
import type { JobPlan } from '../../../src/contract/job-plan.ts';
import type { PayloadManifest } from '../../../src/contract/payload-manifest.ts';
import { judgeManifest, type ManifestTrust } from '../../../src/jobs/judge-manifest.ts';
import { runJob } from '../../../src/jobs/run-job.ts';
import { redact } from '../../../src/kit/log.ts';
import { readCertificates } from '../../../src/policy/trust/certificates.ts';
import type { TrustSettings } from '../../../src/policy/trust/trust-settings.ts';
import { base64, makeAuthor, proofOf } from '../../support/authors.ts';
import { jobEngine } from '../../support/job-engine.ts';
import { jobIdentity, keptJob, plan } from '../../support/job-plans.ts';
import { payloadManifest, payloadPlan, withNetwork } from '../../support/payload-manifests.ts';
import { taskContext } from '../../support/task-bench.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const author = makeAuthor(temporaryFolder('judge-manifest'), 'author');
const read = readCertificates(Buffer.from(author.pem));
const keystore = read.ok ? read.certificates : [];
const id = keystore[0]?.id ?? '';

const now = Date.now() + 60_000;
const at = (ms: number) => new Date(now + ms).toISOString();
const script = [{ run: { entry_point: '/bin/date' } }];
const online: PayloadManifest = {
  ...withNetwork({ inet: { out: { urls: ['https://api.example.com'] } } }, ['run /bin/date']),
  metadata: { name: 'Weather' },
};
const offline = payloadManifest();
const settings: TrustSettings = {
  outbound: { enabled: true, everyone: 'whitelist', audited_payload: { [id]: 'all' }, partner: {} },
  ...{ whitelist: [], compat: 'strict', undated: 'refuse' },
};

type Signed = NonNullable<JobPlan['signed_manifest']>;

function signed(manifest: PayloadManifest): Signed {
  const text = base64(manifest);
  return { manifest: text, proof: proofOf(text, author) };
}

function host(trust: Partial<ManifestTrust> = {}) {
  const { engine, calls } = jobEngine({ one: [{}] });
  const all: ManifestTrust = { read: async () => ({ settings, keystore }), now: () => now, ...trust };
  const jobs = openHostJobs({ trust: all });
  return { ...taskContext(engine, { jobs }), calls };
}

/** What becomes of a plan that keeps what its manifest promises. */
async function judged(manifest: PayloadManifest, over: Partial<JobPlan> = {}, trust: Partial<ManifestTrust> = {}) {
  const { context, events } = host(trust);
  await judgeManifest(payloadPlan(manifest, script, over), context);
  return events;
}

describe('a plan with a manifest', () => {
  it('may be carried out where the operator knows its author (M-17, M-41)', async () => {
    expect(await judged(online, { signed_manifest: signed(online) })).toMatchObject([
      {
        type: 'manifest.accepted',
        message: 'Weather may be carried out on this host.',
        values: {
          steps: expect.arrayContaining([expect.objectContaining({ what: 'audited_payload', outcome: 'accepted' })]),
        },
      },
    ]);
  });

  it('is refused with every step of the verdict, which is told as an event too, before anything is done (M-43, X-25)', async () => {
    const { context, calls, events } = host();

    await expect(runJob(payloadPlan(online, script), context)).rejects.toMatchObject({
      code: 'manifest.refused',
      detail: {
        steps: [
          ...[{ what: 'dates' }, { what: 'network' }, { what: 'outbound' }, { what: 'everyone' }],
          { what: 'audited_payload', outcome: 'refused', why: 'It is not signed.' },
          { what: 'partner' },
        ],
      },
    });
    expect(calls).toEqual([]);
    expect(context.jobs.records.all()).toEqual([]);
    // Of what a host tells, only what was declared to be harmless leaves it.
    expect(events.map(({ values }) => redact(values))).toEqual(events.map(({ values }) => values));
    expect(events.map(({ type, message }) => ({ type, message }))).toEqual([
      {
        type: 'manifest.refused',
        message: expect.stringMatching(/^Weather may not be carried out on this host\. .*It is not signed\./),
      },
    ]);
  });

  it('needs no signature where it wants no network (M-42)', async () => {
    expect(await judged(offline)).toMatchObject([{ type: 'manifest.accepted' }]);
  });

  it.each([
    ['that has expired', { expiresAt: at(0) }, 'manifest.expired'],
    ['that does not say until when it holds', { expiresAt: undefined }, 'manifest.refused'],
    ['that is none', { payload: [] }, 'task.invalid'],
  ] as [string, PayloadManifest, string][])('%s is not begun (M-4)', async (_what, over, code) => {
    const signed_manifest = { manifest: base64({ ...offline, ...over }) };

    await expect(judged(offline, { signed_manifest })).rejects.toMatchObject({ code });
  });

  it('is told of both dates where its manifest holds only later', async () => {
    const signed_manifest = { manifest: base64({ ...offline, createdAt: at(3_600_000), expiresAt: at(7_200_000) }) };
    const { message, hint } = failures['manifest.expired'];

    await expect(judged(offline, { signed_manifest })).rejects.toMatchObject({ code: 'manifest.expired' });
    expect(message).toBe('The manifest does not hold at this time.');
    expect(hint).toMatch(/`expiresAt`.*`createdAt`.*clock of the host/);
  });

  it('is not begun where its manifest is none, of which no part is named', async () => {
    const signed_manifest = { manifest: Buffer.from('[]').toString('base64') };

    await expect(judged(offline, { signed_manifest })).rejects.toMatchObject({
      ...{ code: 'task.invalid', detail: { errors: [{ message: expect.stringMatching(/^has a manifest that /) }] } },
    });
  });

  it('is not begun where it is not what the manifest promises (M-18)', async () => {
    const over = { network: 'bridge', signed_manifest: signed(online) } as const;

    await expect(judged(online, over)).rejects.toMatchObject({
      code: 'manifest.broken_promise',
      detail: { errors: [{ path: '/params/network' }] },
    });
  });

  it('is compared as yagna does where the operator lets it be, and only there', async () => {
    const over = { command_policy: 'yagna' } as const;
    const trust = { read: async () => ({ settings: { ...settings, compat: 'yagna' as const }, keystore }) };

    await expect(judged(offline, over)).rejects.toMatchObject({ code: 'policy.refused' });
    expect(await judged(offline, over, trust)).toMatchObject([{ type: 'manifest.accepted' }]);
  });

  it('is not begun where nobody can say whom to believe, or nobody is asked', async () => {
    const broken = new AgentError('trust.unusable', { reason: 'trust.json is not JSON.' });
    const { context } = taskContext(jobEngine({}).engine);

    await expect(judged(offline, {}, { read: () => Promise.reject(broken) })).rejects.toBe(broken);
    await expect(runJob(payloadPlan(offline, script), context)).rejects.toMatchObject({ code: 'task.unsupported' });
  });

  it('is judged for the project that its job is of', async () => {
    const document = base64({ projectId: jobIdentity.project_id, notBefore: at(-1000), notAfter: at(1000) });
    const signed_manifest = { manifest: base64(online), partner: { document, ...proofOf(document, author) } };
    const outbound = { ...settings.outbound, audited_payload: {}, partner: { [id]: 'all' as const } };
    const trust = { read: async () => ({ settings: { ...settings, outbound }, keystore }) };
    const identity = { ...jobIdentity, project_id: 'project-8' };

    expect(await judged(online, { signed_manifest }, trust)).toMatchObject([{ type: 'manifest.accepted' }]);
    await expect(judged(online, { signed_manifest, identity }, trust)).rejects.toMatchObject({
      code: 'manifest.refused',
    });
  });

  it('ends as at a deadline when its manifest does not hold any more while it runs (M-4)', async () => {
    const { context } = host();
    const manifest = { ...offline, expiresAt: at(100) };
    const kept = keptJob('queued', 'pending', {
      ...{ task_id: 'task-1', plan: plan({ signed_manifest: { manifest: base64(manifest) } }) },
    });
    context.jobs.records.begin({ ...kept, record: { ...kept.record, deadline_at: Date.now() + 60_000 } });

    const { job } = await runJob(kept.plan, context);

    expect(job.record).toMatchObject({
      state: 'expired',
      failure: { code: 'manifest.expired', detail: { reason: expect.stringContaining(`It held until ${at(100)}`) } },
      steps: { one: { state: 'cancelled', attempts: 1 } },
    });
  });
});
