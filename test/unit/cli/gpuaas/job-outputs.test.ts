/** `gpuaas jobs artifacts`, `receipt` and `verify`, and `gpuaas nodes keys`, against a control plane of their own. */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import { download } from '../../../../src/cli/gpuaas/download.ts';
import type { IdentityKey } from '../../../../src/contract/enrolment.ts';
import type { KeptOutput } from '../../../../src/contract/job-outputs.ts';
import type { JobReceipt } from '../../../../src/contract/job-receipt.ts';
import { jobOutputsPath } from '../../../../src/contract/signing.ts';
import { documentHash } from '../../../../src/manifests/job-secrets.ts';
import { planHash, receiptHash, signReceipt } from '../../../../src/policy/job-receipts.ts';
import { atFileEnd } from '../../../support/file-end.ts';
import { aJob, aJobStep, checksOfAll, jobNews, nodeWithSession } from '../../../support/job-samples.ts';
import { runGpuaas } from '../../../support/run-gpuaas.ts';
import { anAllocation } from '../../../support/store-samples.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { testServer } from '../../../support/test-server.ts';

const server = await testServer();
const folder = temporaryFolder('cli-job-outputs');
const at = (name: string) => join(folder, name);
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const run = (...words: string[]) => runGpuaas({ url: server.url, token: server.tokens['admin'] ?? '' }, words);
const bearer = await nodeWithSession(server.store, 'node-1');
const key = makeKey();
const pinned = `docker.io/library/python@sha256:${'a'.repeat(64)}`;
const media_type = 'application/vnd.oci.image.manifest.v1+json' as const;
const images = [{ name: pinned, reference: pinned, media_type }];
await server.store.write(async (tx) => {
  const node = await tx.nodes.get('node-1');
  const allocation = anAllocation({ project_id: 'p1' });
  await tx.allocations.insert(allocation);
  if (node) await tx.nodes.put({ ...node, identity_key: key.publicJwk, allocation_id: allocation.id });
  await tx.jobs.insert(aJob({ steps: [aJobStep('serve-1', { name: 'Serve_1' })], images }));
  await tx.jobs.insert(aJob({ id: 'job-2' }));
  const checked = aJob({ id: 'job-3' });
  const news = jobNews(checked, []);
  await tx.jobs.insert(checked);
  await tx.job_news.insert({ ...news, report: { ...news.report, checks: checksOfAll } });
});

const content = 'the weights of a model';
/** What receipts say of the images of their jobs. */
const ran: JobReceipt['images'] = [
  {
    ...{ id: 'project', image_id: `sha256:${'b'.repeat(64)}`, reference: `revision@sha256:${'c'.repeat(64)}` },
    provenance: {
      ...{ revision_sha256: 'c'.repeat(64), bases: [pinned], builder: 'docker-classic', engine: '20.10.24' },
    },
  },
  { id: 'other', image_id: null, reference: pinned },
];
const ranLines = [
  `image project: sha256:${'b'.repeat(64)}, revision@sha256:${'c'.repeat(64)}`,
  `  on ${pinned}`,
  '  built by docker-classic of engine 20.10.24',
  `image other: not there when the job ended, ${pinned}`,
];
const resource = { type: 'HF', repo: 'a/b', target: '/data', accessToken: 'secret' };
/** What a control plane keeps of `inYaml`. */
const kept = {
  ...{ version: '0.1', type: 'container' },
  ops: [{ type: 'container/run', id: 'a', args: { image: 'alpine:3', resources: [resource] } }],
};
const inYaml = `type: container
version: "0.1"
ops:
  - id: a
    type: container/run
    args:
      image: alpine:3
      resources:
        - {type: HF, repo: a/b, target: /data, accessToken: hunter2}
`;
await handOver({
  name: 'model',
  kind: 'artifact',
  media_type: 'application/x-tar',
  file_name: '../../\u001b[31mevil.tar',
});

await handOver({ name: 'serve-1.log', kind: 'log', media_type: 'application/x-ndjson', file_name: 'serve-1.log' });

async function handOver(facts: Omit<KeptOutput, 'sha256' | 'bytes'>): Promise<void> {
  const output = { ...facts, sha256: sha256(content), bytes: content.length };
  const headers = { authorization: `Bearer ${bearer}` };
  const offered = await server.call('POST', jobOutputsPath, {
    as: null,
    headers,
    body: { job_id: 'job-1', output: { ...output, file_name: output.file_name.replaceAll('/', '_') } },
  });
  expect(offered.status).toBe(200);
  await server.call('PUT', `${jobOutputsPath}/job-1/${output.sha256}?offset=0`, {
    ...{ as: null, headers: { ...headers, 'content-type': 'application/octet-stream' }, body: content },
  });
}

describe('gpuaas jobs artifacts', () => {
  it('lists what was kept of a job', async () => {
    const listed = await run('jobs', 'artifacts', 'job-1');
    const json = await run('jobs', 'artifacts', 'job-1', '--json');

    expect(listed.out).toMatch(new RegExp(`model +artifact +stored +22 +${sha256(content)}`));
    expect(JSON.parse(json.out).items).toMatchObject([{ name: 'model', state: 'stored' }, { name: 'serve-1.log' }]);
    expect((await run('jobs', 'artifacts', 'job-2')).err).toContain('Nothing was kept of it yet.');
    expect((await run('jobs', 'artifacts', 'nowhere')).status).toBe(3);
  });

  it('fetches one into a file, and leaves nothing else beside it', async () => {
    const fetched = await run('jobs', 'artifacts', 'job-1', 'model', '-o', at('model.tar'), '--json');

    expect(JSON.parse(fetched.out)).toEqual({
      file: at('model.tar'),
      name: 'model',
      sha256: sha256(content),
      bytes: 22,
    });
    expect(readFileSync(at('model.tar'), 'utf8')).toBe(content);
    expect(readdirSync(folder)).toEqual(['model.tar']);
    expect(await run('jobs', 'artifacts', 'job-1', 'other', '-o', at('other'))).toMatchObject({ status: 3 });
  });
});

describe('gpuaas jobs artifacts JOB NAME', () => {
  it('prints it, and nothing else, where its file is -', async () => {
    const { status, out } = await run('jobs', 'artifacts', 'job-1', 'model', '-o', '-');

    expect([status, out, existsSync('-')]).toEqual([0, content, false]);
  });

  it('takes a step by what its author calls it', async () => {
    expect(await run('jobs', 'artifacts', 'job-1', 'Serve_1.log', '-o', '-')).toMatchObject({
      status: 0,
      out: content,
    });
  });
});

describe('gpuaas jobs describe', () => {
  it('shows an image that its author has pinned once', async () => {
    const { out } = await run('jobs', 'describe', 'job-1');

    expect(
      out
        .split('\n')
        .find((each) => each.includes(pinned))
        ?.trim(),
    ).toBe(pinned);
  });

  it('says what it needs, and whether what was kept of it is here', async () => {
    const { out } = await run('jobs', 'describe', 'job-1');

    expect(out).toMatch(/^needs +0 GPUs, 1 core, 1 GiB of memory, 0 GiB of disk$/m);
    expect(out).toMatch(/^ {2}model {2}artifact {2}stored {2}22 bytes {2}sha256 [0-9a-f]{64}$/m);
  });
});

describe('gpuaas jobs describe of a job with a receipt', () => {
  it('has what ran, and of what its host has built it', async () => {
    const job = aJob({ id: 'job-4', input_commits: { 'data-weights': 'c'.repeat(40) } });
    const receipt = chain(1)[0] ?? null;
    await server.store.write(async (tx) => {
      await tx.jobs.insert(job);
      await tx.job_news.insert(jobNews(job, [], { receipt }));
    });

    const { out } = await run('jobs', 'describe', 'job-4');
    const json = JSON.parse((await run('jobs', 'describe', 'job-4', '--json')).out);

    expect(out).toContain(
      ['What ran, as its receipt says (not verified)', ...ranLines.map((line) => `  ${line}`)].join('\n'),
    );
    expect(out).toContain(`Inputs\n  data-weights  commit ${'c'.repeat(40)}\n`);
    expect([json.id, json.said.images]).toEqual(['job-4', ran]);
    expect(JSON.parse((await run('jobs', 'describe', 'job-2', '--json')).out).said).toBeNull();
  });
});

describe('gpuaas jobs describe of a job with checks', () => {
  it('has every check with its outcome, and what a failing command has written apart from all steps (C-21, X-19)', async () => {
    const { out } = await run('jobs', 'describe', 'job-3');

    expect(out).toMatch(/^ {2}python +executable +passed +12 ms$/m);
    expect(out).toMatch(/^ {2}job\.py +file +failed +12 ms +is not there: nothing is at \/workspace\/job\.py$/m);
    expect(out).toMatch(/^ {2}numpy import \(check-1\) +command +failed +12 ms +It ended with 1\.$/m);
    expect(out).toMatch(/^Output of the check numpy import\n {2}no \\x1b\[31mnumpy$/m);
    expect((await run('jobs', 'describe', 'job-2')).out).not.toContain('Checks');
  });
});

describe('a download', () => {
  const body = 'x'.repeat(30_000);
  const output = { name: 'big', sha256: sha256(body), bytes: body.length };

  /** Sends so many bytes of what was asked for, then hangs up; the last answers all of it. */
  async function cuttingServer(sent: string, cuts: number[]) {
    const ranges: (string | undefined)[] = [];
    const http = createServer((request, response) => {
      ranges.push(request.headers.range);
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
      response.writeHead(from > 0 ? 206 : 200, { 'content-length': sent.length - from });
      const cut = cuts.shift();
      if (cut === undefined) response.end(sent.slice(from));
      else response.write(sent.slice(from, from + cut), () => response.destroy());
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    atFileEnd(() => void http.close());
    const { port } = http.address() as { port: number };
    return { client: new ControlPlaneClient({ url: `http://127.0.0.1:${port}`, token: 't' }), ranges };
  }

  it('goes on where it was cut, also where an earlier call has left it', async () => {
    const file = at('big');
    writeFileSync(`${file}.${output.sha256.slice(0, 12)}.part`, body.slice(0, 1000));
    const { client, ranges } = await cuttingServer(body, [9000, 5000]);

    await download(client, { path: '/x', output, file, pauseMs: 0 });

    expect(readFileSync(file, 'utf8')).toBe(body);
    expect(ranges[0]).toBe('bytes=1000-');
    expect(ranges).toHaveLength(3);
    const starts = ranges.map((range) => Number(/\d+/.exec(range ?? '0')?.[0]));
    expect(starts.toSorted((a, b) => a - b)).toEqual(starts);
  });

  it('is not taken for the file where it is another one', async () => {
    const { client, ranges } = await cuttingServer('y'.repeat(30_000), []);

    await expect(download(client, { path: '/x', output, file: at('wrong'), pauseMs: 0 })).rejects.toMatchObject({
      code: 'output.damaged',
    });
    expect(ranges).toHaveLength(2);
    expect(existsSync(at('wrong'))).toBe(false);
  });
});

describe('gpuaas jobs receipt and verify', () => {
  it('verify offline what a node has signed, with its keys, and the files that it speaks of', async () => {
    const receipts = chain(3);
    await server.store.write((tx) =>
      tx.job_news.insert({
        ...{ id: 'job-1', attempt: 1, endpoints: [], outputs: [], receipt: receipts[0] ?? null },
        report: { state: 'succeeded', summary: '', started_at: null, ended_at: null, failure: null, steps: [] },
      }),
    );
    for (const [place, jws] of receipts.entries()) writeFileSync(at(`r${place + 1}`), jws);
    writeFileSync(at('artifact'), content);
    writeFileSync(at('document'), inYaml);
    writeFileSync(at('answer'), JSON.stringify({ dialect: 'nosana', sha256: 'x', document: kept }));
    writeFileSync(at('bare'), JSON.stringify(kept));
    writeFileSync(at('plan'), JSON.stringify({ b: 1, a: 2 }));

    expect((await run('nodes', 'keys', 'node-1', '-o', at('keys.json'))).status).toBe(0);
    expect((await run('jobs', 'receipt', 'job-1', '-o', at('receipt'))).status).toBe(0);
    const offline = (...words: string[]) =>
      runGpuaas({ url: 'http://127.0.0.1:9', token: 'none' }, ['jobs', 'verify', ...words, '--key', at('keys.json')]);
    const one = await offline(
      at('receipt'),
      '--artifact',
      `model=${at('artifact')}`,
      '--document',
      at('document'),
      '--plan',
      at('plan'),
    );
    const documents = await Promise.all(
      ['answer', 'bare'].map((name) => offline(at('receipt'), '--document', at(name))),
    );
    const all = await offline(at('r3'), at('r1'), at('r2'), '--json');
    const missing = await offline(at('r1'), at('r3'));
    const sparse = await offline(at('r1'), at('r3'), '--allow-gaps');
    const others = await offline(
      at('r1'),
      '--artifact',
      `model=${at('document')}`,
      '--artifact',
      `none=${at('plan')}`,
      '--plan',
      at('keys.json'),
      '--document',
      at('plan'),
    );

    expect(readFileSync(at('receipt'), 'utf8').trim()).toBe(receipts[0]);
    expect(one).toMatchObject({
      status: 0,
      out: expect.stringContaining('number 1 of node node-1: job job-1 succeeded'),
    });
    expect(linesOf(one.out)).toEqual(ranLines.map((line) => `  ${line}`));
    expect(documents.map(({ status }) => status)).toEqual([0, 0]);
    expect(all.status).toBe(0);
    expect(JSON.parse(all.out)).toMatchObject({
      valid: true,
      receipts: [{ file: at('r1') }, { file: at('r2') }, { file: at('r3') }],
    });
    expect(missing).toMatchObject({ status: 1, out: expect.stringContaining('Of the chain, number 2 is missing') });
    // Nothing is told of one that is not to be believed.
    expect(linesOf(missing.out)).toHaveLength(ranLines.length + 1);
    expect(sparse.status).toBe(0);
    expect(others.status).toBe(1);
    expect(linesOf(others.out).slice(ranLines.length)).toEqual([
      `${at('keys.json')} is not the plan that was carried out.`,
      `${at('plan')} is not the document that was submitted.`,
      `${at('document')} is not the output model of the job.`,
      'The job has no output none.',
    ]);
  });

  it('believe nothing that was changed, and take nothing for keys that is none', async () => {
    writeFileSync(
      at('changed'),
      (chain(1)[0] ?? '').replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
    );
    writeFileSync(at('no-keys'), '{}');

    const changed = await run('jobs', 'verify', at('changed'), '--key', at('keys.json'));
    const noKeys = await run('jobs', 'verify', at('changed'), '--key', at('no-keys'));
    const nothing = await run('jobs', 'verify', at('nowhere'), '--key', at('keys.json'));
    const several = await run('jobs', 'verify', at('r1'), at('r2'), '--key', at('keys.json'), '--plan', at('plan'));

    expect(changed).toMatchObject({ status: 1, out: expect.stringContaining('not to be believed') });
    expect([noKeys.status, nothing.status, several.status]).toEqual([2, 2, 2]);
    expect((await run('jobs', 'receipt', 'job-2')).status).toBe(3);
  });
});

/** Behind the first. */
function linesOf(out: string): string[] {
  return out.trimEnd().split('\n').slice(1);
}

function chain(length: number): string[] {
  const links: string[] = [];
  for (let number = 1; number <= length; number += 1) {
    const before = links.at(-1);
    const receipt: JobReceipt = {
      ...{ version: 1, node_id: 'node-1', chain: 'c1', number, previous: before ? receiptHash(before) : null },
      ...{ job_id: `job-${number}`, project_id: 'p1', allocation_id: 'al-1', task_id: `t${number}`, attempt: 1 },
      ...{ plan_sha256: planHash({ a: 2, b: 1 }), document_sha256: documentHash(kept, {}), state: 'succeeded' },
      ...{ images: ran, inputs: [], steps: [], started_at: null, ended_at: '2026-01-01T00:00:00Z' },
      outputs: [{ name: 'model', kind: 'artifact', sha256: sha256(content), bytes: content.length }],
    };
    links.push(signReceipt(receipt, key));
  }
  return links;
}

function makeKey() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const { x = '' } = publicKey.export({ format: 'jwk' });
  const publicJwk: IdentityKey = { kty: 'OKP', crv: 'Ed25519', x };
  return { publicJwk, sign: (text: string) => sign(null, Buffer.from(text), privateKey).toString('base64url') };
}
