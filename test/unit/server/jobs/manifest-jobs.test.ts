/** Jobs of computation payload manifests: judged with their batch before they are taken in, and given to hosts that can carry them out. */
import { describe, expect, it } from 'vitest';
import type { JobPlan } from '../../../../src/contract/job-plan.ts';
import { checkPromises } from '../../../../src/policy/promises/check-promises.ts';
import { readManifest } from '../../../../src/policy/promises/read-manifest.ts';
import { jobServer } from '../../../support/job-server.ts';
import { inventory, runtimeStatus } from '../../../support/launch-samples.ts';
import { payloadManifest, withNetwork, withScript } from '../../../support/payload-manifests.ts';

const server = await jobServer();
const { store, submit, hello, reaches, call } = server;
const offers = (plans: string[], arch = 'x64') =>
  store.write(async (tx) => {
    const node = await tx.nodes.get('node-1');
    if (!node) return;
    const runtime = runtimeStatus({
      offers: { sandboxes: ['gvisor'], builds: false, build_network: false, downloads: true, plans },
    });
    await tx.nodes.put({ ...node, runtime, inventory: inventory({ arch, runtime }) });
  });
await offers(['payload', 'allow_list']);
const host = await server.connect();
const errorsOf = (body: { error: { errors: { path: string; code: string }[] } }) =>
  body.error.errors.map(({ path, code }) => `${path} ${code}`);

const script = [{ deploy: {} }, { run: { entry_point: '/bin/date', args: ['-R'] } }, { terminate: {} }];
const metadata = { name: 'dates', version: '1.0', description: 'Says what day it is.', authors: ['a'], odd: 1 };
const manifest = { ...withScript(['run /bin/date -R']), metadata };

describe('a job of a manifest', () => {
  it('is a plan that keeps what the manifest promises, with the manifest as it was signed (M-9, M-17, X-24)', async () => {
    const text = JSON.stringify(manifest, null, 2);
    const proof = { signature: 'c2ln', certificate: 'Y2VydA==', algorithm: 'sha256' };
    const { status, body } = await submit(text, { script, proof });
    expect([status, body.name, body.dialect]).toEqual([201, 'dates', 'golem']);
    const { odd: _odd, ...about } = metadata;
    expect(body).toMatchObject({ about, needs: { payload: true, architectures: ['x86_64'], sandbox: 'gvisor' } });

    const task = await host.agent.accept();
    const plan = task.params as JobPlan;
    expect(plan).toMatchObject({
      ...{ sandbox: 'gvisor', network: 'none', steps: [{ script }], resources: { gpu_count: 0 } },
      signed_manifest: { manifest: Buffer.from(text).toString('base64'), proof },
    });
    const read = readManifest(plan.signed_manifest?.manifest ?? '');
    if (!read.ok) throw new Error('not read');
    const findings = checkPromises(plan, read.value, { compat: false, now: Date.now() });
    expect(findings.flatMap(({ errors }) => errors)).toEqual([]);
    const document = (await call('GET', `/api/v1/jobs/${body.id}/document`, { as: 'viewer' })).body;
    expect(document).toMatchObject({ dialect: 'golem', document: manifest, batch: { script } });
    host.end(task, {});
    await reaches(body.id, 'succeeded');
  });

  it('may come in base64, which then is what travels, as an object, and in runc (M-9)', async () => {
    const base64 = Buffer.from(JSON.stringify(manifest)).toString('base64');
    for (const [document, more] of [
      [base64, {}],
      [manifest, { options: { sandbox: 'runc' } }],
    ] as const) {
      const { body } = await submit(document, { script, ...more });
      const task = await host.agent.accept();
      expect((task.params as JobPlan).signed_manifest).toEqual({ manifest: base64 });
      host.end(task, {});
      await reaches(body.id, 'succeeded');
    }
  });

  it('is held to the addresses of its manifest (M-36, M-37, M-38)', async () => {
    const document = withNetwork({ inet: { out: { protocols: ['https'], urls: ['https://a.example/x'] } } });
    const { body } = await submit(document, { script: [{ deploy: {} }] });
    expect(body.needs).toMatchObject({ allow_list: true });
    const task = await host.agent.accept();

    expect(task.params).toMatchObject({
      network: 'allow_list',
      egress: { rules: [{ scheme: 'https', host: 'a.example', port: 443 }], any_public: [] },
    });
    host.end(task, {});
    await reaches(body.id, 'succeeded');
  });

  it.each([
    ['without a batch', manifest, {}, ['/script required']],
    [
      'with a command that no rule allows (M-18)',
      manifest,
      { script: [...script.slice(0, 2), { run: { entry_point: 'sh' } }] },
      ['/script/2 refused'],
    ],
    [
      'with a transfer to where the manifest does not lead (M-34)',
      withScript(['transfer .*'], 'regex'),
      { script: [{ transfer: { from: 'https://a.example/x', to: 'container:/golem/input/x' } }] },
      ['/script/0/transfer/from not_listed'],
    ],
    [
      'with a transfer to what is private, as upstream compares too',
      withScript(['transfer .*'], 'regex'),
      {
        command_policy: 'yagna',
        script: [{ transfer: { from: 'http://169.254.169.254/', to: 'container:/golem/input/x' } }],
      },
      ['/script/0/transfer/from not_listed'],
    ],
    [
      'with a batch out of order',
      manifest,
      { script: [...script, { deploy: {} }] },
      ['/script/2 order', '/script/3 order'],
    ],
    [
      'after it has expired (M-4)',
      payloadManifest({ expiresAt: '2023-01-01T00:00:00Z' }),
      { script },
      ['/expiresAt expired'],
    ],
    [
      'before it was made (M-3)',
      payloadManifest({ createdAt: '2099-01-01T00:00:00Z' }),
      { script },
      ['/createdAt future'],
    ],
    [
      'with a rule that nobody understands (M-31)',
      withScript(['run (?=x)'], 'regex'),
      { script },
      ['/compManifest/script/commands/0 rule'],
    ],
    [
      'with a signature of nobody knows what',
      manifest,
      { script, proof: { signature: 'c2ln', certificate: 'Y2VydA==', algorithm: 'sha256' } },
      ['/proof bytes'],
    ],
    [
      'with addresses beside those of its manifest',
      manifest,
      { script, options: { allow: ['https://a.example'] } },
      ['/options/allow contradiction'],
    ],
  ] as [string, object, object, string[]][])('is refused %s', async (_what, document, more, expected) => {
    const { status, body } = await submit(document, more);

    expect([status, body.error.code]).toEqual([422, 'job.invalid']);
    expect(errorsOf(body)).toEqual(expected);
  });

  it('shows no signature of an address that a transfer leads to', async () => {
    const document = withNetwork({ inet: { out: { urls: ['https://a.example'] } } }, [
      'transfer https://a.example/x?sig=abc container:/golem/input/x',
    ]);
    const transfer = { from: 'https://a.example/x?sig=abc', to: 'container:/golem/input/x' };
    const { body } = await submit(document, { script: [{ transfer }] });
    const task = await host.agent.accept();

    expect((task.params as JobPlan).steps[0]?.script).toEqual([{ transfer }]);
    const shown = (await call('GET', `/api/v1/jobs/${body.id}/document`, { as: 'viewer' })).body;
    expect(shown.batch.script).toEqual([{ transfer: { ...transfer, from: 'https://a.example/x?secret' } }]);
    host.end(task, {});
    await reaches(body.id, 'succeeded');
  });

  it('says of a refused command which rule is the nearest (M-18)', async () => {
    const { body } = await submit(manifest, { script: [{ run: { entry_point: '/bin/date', args: ['-u'] } }] });

    expect(body.error.errors[0].message).toMatch(
      /run \/bin\/date -u.*its argument 1 is -u.*nearest rule is "run \/bin\/date -R"/,
    );
  });

  it('is compared as upstream does where it asks for that, and the plan says so', async () => {
    const document = withScript(['run curl.*'], 'regex');
    const hidden = [{ run: { entry_point: 'sh', args: ['-c', 'run curl x'] } }];
    expect((await submit(document, { script: hidden })).status).toBe(422);
    const { body } = await submit(document, { script: hidden, command_policy: 'yagna' });
    const task = await host.agent.accept();

    expect((task.params as JobPlan).command_policy).toBe('yagna');
    host.end(task, {});
    await reaches(body.id, 'succeeded');
  });

  it('needs a host of its architecture, and an agent that carries such jobs out (M-10, M-11, M-15)', async () => {
    const arm = {
      ...manifest,
      payload: manifest.payload.map((each) => ({ ...each, platform: { arch: 'arm64', os: 'linux' } })),
    };
    const windows = {
      ...manifest,
      payload: manifest.payload.map((each) => ({ ...each, platform: { arch: 'x86_64', os: 'windows' } })),
    };
    const unfit = async (document: object) => {
      const { status, body } = await submit(document, { script });
      return [status, body.error?.code, body.error?.message];
    };

    expect(await unfit(arm)).toEqual([422, 'job.unfit', expect.stringContaining('a host of the architecture aarch64')]);
    expect(await unfit(windows)).toEqual([422, 'job.unfit', expect.stringContaining('which no host has')]);
    await offers(['allow_list']);
    expect(await unfit(manifest)).toEqual([
      422,
      'job.unfit',
      expect.stringContaining('carries out computation payload manifests'),
    ]);
    await offers(['payload']);
    const listed = withNetwork({ inet: { out: { urls: ['https://a.example'] } } });
    const { body } = await submit(listed, { script: [{ deploy: {} }] });
    expect(body.error.message).toContain('holds jobs to a list of addresses');
    await offers(['payload', 'allow_list']);
  });
});

describe('a job of another dialect', () => {
  it('is held to addresses where it asks for that, and to no others', async () => {
    const allow = ['https://Hub.example:8443', 'http://data.example'];
    const { body } = await submit(hello(), { options: { allow } });
    expect(body).toMatchObject({ options: { allow }, needs: { allow_list: true } });
    const task = await host.agent.accept();

    expect(task.params).toMatchObject({
      network: 'allow_list',
      egress: {
        rules: [
          { scheme: 'https', host: 'hub.example', port: 8443 },
          { scheme: 'http', host: 'data.example', port: 80 },
        ],
        any_public: [],
      },
    });
    host.end(task, {});
    await reaches(body.id, 'succeeded');
  });

  it('is refused with addresses that nobody lets through, or that say more than counts', async () => {
    const allow = ['https://a.example/x', 'ftp://a.example', 'http://10.0.0.1', 'https://ok.example'];
    const { body } = await submit(hello(), { options: { allow } });

    expect(errorsOf(body)).toEqual([0, 1, 2].map((index) => `/options/allow/${index} address`));
  });

  it('has no batch, and nobody who signs it', async () => {
    const { body } = await submit(hello(), { script, command_policy: 'strict' });

    expect(errorsOf(body)).toEqual(['/script contradiction', '/command_policy contradiction']);
  });
});
