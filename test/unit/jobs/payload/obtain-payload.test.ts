/** Images that jobs name by their hash, on a host: once for each project, and what is told of them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { extract, pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openHostJobs } from '../../../../src/agent/host-jobs.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { ReceiptFacts } from '../../../../src/contract/job-receipt.ts';
import type { PlanPayload } from '../../../../src/contract/payload-manifest.ts';
import { imageAtHand } from '../../../../src/jobs/image-at-hand.ts';
import { signReceipt } from '../../../../src/jobs/job-end.ts';
import { prepareJob } from '../../../../src/jobs/prepare-job.ts';
import { RunningJob } from '../../../../src/jobs/running-job.ts';
import type { ImageFacts } from '../../../../src/policy/container-request.ts';
import type { ContainerEngine, ImportOptions } from '../../../../src/runtime/engine.ts';
import { type Gvmi, gvmiOf, withTail } from '../../../support/gvmi.ts';
import { inputsGround } from '../../../support/inputs-ground.ts';
import { jobIdentity, keptJob, plan } from '../../../support/job-plans.ts';
import { mirrorsOf } from '../../../support/mirrors.ts';
import { imageFacts, recordingEngine } from '../../../support/recording-engine.ts';
import { hostPolicy, imageReference, taskContext } from '../../../support/task-bench.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { standIn } from '../../host/stand-ins.ts';

const importedId = `sha256:${'d'.repeat(64)}`;
const digest = imageReference.split('@')[1] ?? '';

/** What stands for the unpacker writes this, whatever it is given. */
async function tarball(): Promise<Buffer> {
  const tar = pack();
  for (const name of ['bin/', 'etc/']) tar.entry({ name, type: 'directory' });
  tar.entry({ name: 'bin/sh', mode: 0o755 }, 'a shell');
  tar.finalize();
  const parts: Buffer[] = [];
  for await (const part of tar) parts.push(Buffer.from(part as Uint8Array));
  return Buffer.concat(parts);
}

beforeAll(async () => {
  const folder = temporaryFolder('unpacker');
  writeFileSync(join(folder, 'image.tar'), await tarball());
  standIn(folder, 'sqfs2tar', `[ "$1" = --no-xattr ] && [ -r "$2" ] && exec cat ${join(folder, 'image.tar')}`);
  vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`);
});
afterAll(() => void vi.unstubAllEnvs());

/** As far as it is looked at before it is unpacked. */
function anyGvmi(): Gvmi {
  const bytes = Buffer.alloc(100_000, 7);
  bytes.write('hsqs');
  bytes.writeUInt16LE(4, 28);
  bytes.writeUInt16LE(0, 30);
  bytes.writeBigUInt64LE(100_000n, 40);
  return gvmiOf(withTail(bytes, { Env: ['A=b'], WorkingDir: '/tmp' }));
}

async function downloadingHost({ payloads = { max_gib: 1, unpacked_gib: 1 }, engine: over = {} }: HostOptions = {}) {
  const gvmi = anyGvmi();
  const at = await mirrorsOf(gvmi.bytes);
  const { inputs } = inputsGround();
  const imported = new Map<string, ImageFacts>();
  const given: { project: string; config: ImportOptions['config']; names: string[] }[] = [];
  const { engine, calls } = recordingEngine({
    importedImage: async ({ projectId }) => imported.get(projectId),
    importImage: async ({ projectId }, tar, { config }) => {
      const from = extract();
      const names: string[] = [];
      from.on('entry', (header, content, next) => {
        names.push(header.name);
        content.resume();
        next();
      });
      from.end(await buffer(tar));
      given.push({ project: projectId, config, names });
      const facts = { ...imageFacts(importedId), repoDigests: [], builtFor: [projectId] };
      imported.set(projectId, facts);
      return facts;
    },
    ...over,
  });
  const signed: ReceiptFacts[] = [];
  const sign = (facts: ReceiptFacts) => {
    signed.push(facts);
    return null;
  };
  const jobs = { ...openHostJobs({ receipts: { sign } }), inputs };
  const prepare = async (payload: PlanPayload[], project = 'project-7', id = 'job-1') => {
    const recorded = taskContext(engine, { jobs, policy: { ...hostPolicy, ...(payloads && { payloads }) } });
    const images = [{ id: 'main', source: { kind: 'payload' as const, payload } }];
    const of = plan({ images, identity: { ...jobIdentity, project_id: project, job_id: id }, network: 'none' });
    const job = new RunningJob({ ...keptJob('preparing', 'pending', { plan: of }), job_id: id }, recorded.context);
    await prepareJob(job, AbortSignal.timeout(60_000));
    return { ...recorded, job };
  };
  const urls = [at.url('gone'), at.url('good')];
  return { ...{ prepare, given, imported, calls, signed, at }, payload: { urls, hash: gvmi.hash } };
}

interface HostOptions {
  readonly payloads?: { readonly max_gib: number; readonly unpacked_gib: number } | null;
  readonly engine?: Partial<ContainerEngine>;
}

describe('an image that a job names by its hash', () => {
  it('is downloaded, unpacked and imported, and pinned by its id', async () => {
    const { prepare, given, signed, payload, at } = await downloadingHost();
    const elsewhere = { ...payload, hash: `sha3:${'0'.repeat(64)}`, platform: { arch: 'riscv64', os: 'linux' } };

    const { job, events } = await prepare([elsewhere, payload]);

    expect(given).toMatchObject([{ project: 'project-7', config: { env: ['A=b'], work_dir: '/tmp' } }]);
    expect(given[0]?.names).toEqual(['./bin/', './etc/', './bin/sh']);
    expect(imageAtHand(job, 'main')).toMatchObject({ reference: importedId, facts: { builtFor: ['project-7'] } });
    const told = events.filter(({ type }) => type === 'image.progress').map(({ message }) => message);
    expect(told.some((message) => message.endsWith(`bytes from ${at.url('good')}`))).toBe(true);
    expect(told.some((message) => message.endsWith('files unpacked'))).toBe(true);
    signReceipt(job);
    expect(signed[0]?.images).toEqual([{ id: 'main', reference: payload.hash, image_id: importedId }]);
  });

  it('is had once by jobs of a project that want it at the same time, and imported for each project', async () => {
    const { prepare, given, at, payload } = await downloadingHost();

    await Promise.all([
      prepare([payload]),
      prepare([payload], 'project-7', 'job-2'),
      prepare([payload], 'project-8', 'job-3'),
    ]);

    expect(given.map(({ project }) => project).sort()).toEqual(['project-7', 'project-8']);
    expect(at.asked.filter(({ url, range }) => url === '/good' && range !== 'bytes=0-0').length).toBe(1);
  });

  it('is not asked for anywhere where it is there', async () => {
    const { prepare, imported, given, at, payload } = await downloadingHost();
    imported.set('project-7', imageFacts(importedId));

    await prepare([payload]);

    expect([given, at.asked]).toEqual([[], []]);
  });

  it('is pulled where it is an OCI image, by the first reference that gives it', async () => {
    const { prepare, calls, at } = await downloadingHost({ payloads: null });
    const urls = [`docker://other.example/x@${digest}`, `docker://${imageReference}`];

    const { job } = await prepare([{ urls, hash: digest }]);

    expect(calls.filter((call) => call.startsWith('pull'))).toEqual([`pull ${imageReference}`]);
    expect(imageAtHand(job, 'main').reference).toBe(imageReference);
    expect(at.asked).toEqual([]);
  });

  it('is pulled by the next reference where the first is not there', async () => {
    const next = imageReference.replace('@', '-2@');
    const asked: string[] = [];
    const { prepare } = await downloadingHost({
      engine: {
        pull: async ({ reference }) => {
          asked.push(reference);
          if (reference === imageReference) throw new AgentError('image.not_found');
          return { ...imageFacts(importedId), repoDigests: [next] };
        },
      },
    });

    const { job } = await prepare([{ urls: [`docker://${imageReference}`, `docker://${next}`], hash: digest }]);

    expect(asked).toEqual([imageReference, next]);
    expect(imageAtHand(job, 'main').reference).toBe(next);
  });

  it('is no image where the operator has not allowed it, or none is for this host', async () => {
    const { prepare, at, payload } = await downloadingHost({ payloads: null });

    await expect(prepare([payload])).rejects.toMatchObject({ code: 'payload.denied' });
    await expect(prepare([{ ...payload, platform: { arch: 'riscv64', os: 'linux' } }])).rejects.toMatchObject({
      code: 'payload.other_platform',
    });
    expect(at.asked).toEqual([]);
  });

  it('is downloaded and not imported where the engine will not: the next job asks for no byte of it', async () => {
    let isFull = true;
    const { prepare, at, payload } = await downloadingHost({
      engine: {
        importImage: async (_request, tar) => {
          tar.destroy();
          if (isFull) throw new AgentError('disk.full');
          return imageFacts(importedId);
        },
      },
    });

    await expect(prepare([payload])).rejects.toMatchObject({ code: 'disk.full' });
    at.asked.length = 0;
    isFull = false;
    await prepare([payload]);

    expect(at.asked).toEqual([]);
  });
});
