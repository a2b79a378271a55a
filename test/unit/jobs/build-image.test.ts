/** Images that a host builds for its jobs: once for each revision, of its own files. */
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { controlPlaneOrigin } from '../../../src/agent/control-plane/origin.ts';
import { revisionSource } from '../../../src/agent/control-plane/revision-source.ts';
import { openHostJobs } from '../../../src/agent/host-jobs.ts';
import { AgentError } from '../../../src/contract/failures.ts';
import type { BuildImage } from '../../../src/contract/job-build.ts';
import type { JobPlan } from '../../../src/contract/job-plan.ts';
import type { ReceiptFacts } from '../../../src/contract/job-receipt.ts';
import { revisionsPath } from '../../../src/contract/signing.ts';
import { signReceipt } from '../../../src/jobs/job-end.ts';
import type { JobOutputs } from '../../../src/jobs/outputs/job-outputs.ts';
import { prepareJob } from '../../../src/jobs/prepare-job.ts';
import { RunningJob } from '../../../src/jobs/running-job.ts';
import type { ImageFacts } from '../../../src/policy/container-request.ts';
import type { BuildOptions, BuildRequest, ContainerEngine } from '../../../src/runtime/engine.ts';
import { inputsGround } from '../../support/inputs-ground.ts';
import { jobIdentity, keptJob, plan } from '../../support/job-plans.ts';
import { contentOf, loopbackSource, sendContent } from '../../support/loopback-source.ts';
import { imageFacts, recordingEngine } from '../../support/recording-engine.ts';
import { imageReference, taskContext } from '../../support/task-bench.ts';
import { tarOf } from '../kit/tarball/tar-bytes.ts';

const dockerfile = '# mine\nFROM python:3.11\nCOPY . /app\n';
const tar = contentOf(tarOf({ name: 'Dockerfile', content: dockerfile }, { name: 'job.py', content: 'print(1)\n' }));
const builtId = `sha256:${'b'.repeat(64)}`;
const other = imageReference.replace(/@.*/, `@sha256:${'c'.repeat(64)}`);
const source: BuildImage = {
  ...{ kind: 'build', revision_sha256: tar.sha256, revision_bytes: tar.size, dockerfile: 'Dockerfile', context: '.' },
  ...{ args: {}, bases: { 'python:3.11': imageReference, 'python:latest': imageReference, debian: other }, init: [] },
  ...{ work_dir: '/app', network: 'none', timeout_seconds: 600 },
};

/** An engine that remembers for whom it has built what, and hosts that share it. */
async function buildingHost({ build, engine: over }: { build?: Build; engine?: Partial<ContainerEngine> } = {}) {
  const server = await loopbackSource((request, response) => sendContent(request, response, tar));
  const { inputs } = inputsGround({
    revisions: revisionSource(controlPlaneOrigin(server.origin), () => 'bearer'),
    policy: { allow: [] },
  });
  const built = new Map<string, ImageFacts>();
  const given: string[] = [];
  const { engine, calls } = recordingEngine({
    builtImage: async ({ projectId }) => built.get(projectId),
    build: async (request, context, options) => {
      const text = String(await buffer(context));
      given.push([request.projectId, ...(text.match(/FROM .*|COPY .*|print.*/g) ?? [])].join('\n'));
      await build?.(request, options);
      const facts = { ...imageFacts(builtId), builtBy: '20.10.24' };
      built.set(request.projectId, facts);
      return facts;
    },
    ...over,
  });
  const signed: ReceiptFacts[] = [];
  const sign = (facts: ReceiptFacts) => {
    signed.push(facts);
    return null;
  };
  const kept: Record<string, string> = {};
  const takeLog: JobOutputs['takeLog'] = async (job, step, entries) => {
    let text = '';
    for await (const { data, partial } of entries) text += `${data}${partial ? '' : '\n'}`;
    kept[`${job} ${step}`] = text;
    return await Promise.reject(new Error('no room'));
  };
  const of = () => Object.keys(kept).map((key) => ({ name: `${key.split(' ')[1]}.log` }));
  const outputs = { takeLog, of } as unknown as JobOutputs;
  const jobs = { ...openHostJobs({ receipts: { sign }, outputs }), inputs };
  const prepare = async (project = 'project-7', signal = AbortSignal.timeout(60_000), over: Partial<JobPlan> = {}) => {
    const recorded = taskContext(engine, { jobs });
    const images = [{ id: 'main', source }];
    const of = plan({ images, identity: { ...jobIdentity, project_id: project }, network: 'none', ...over });
    const job = new RunningJob(keptJob('preparing', 'pending', { plan: of }), recorded.context);
    await prepareJob(job, signal);
    return { ...recorded, job };
  };
  const pulls = () => calls.filter((call) => call.startsWith('pull'));
  const { logs } = jobs.builds;
  return { ...{ prepare, given, pulls, built, calls, signed, kept, logs }, asked: server.asked };
}

type Build = (request: BuildRequest, options: BuildOptions) => Promise<void>;

describe('an image that a host builds', () => {
  it('is built of the files of its revision on bases by digest, and pinned by its id', async () => {
    const { prepare, given, pulls, asked, signed } = await buildingHost();

    const { job } = await prepare();

    // The author's own Dockerfile is a file as any other.
    expect(given).toEqual([
      ['project-7', `FROM ${imageReference} AS stage0`, 'COPY . /app']
        .concat(['FROM python:3.11', 'COPY . /app', 'print(1)'])
        .join('\n'),
    ]);
    expect(pulls()).toEqual([`pull ${imageReference}`, `pull ${other}`]);
    expect(asked.map(({ url }) => url)).toEqual([`${revisionsPath}/${tar.sha256}`]);
    expect([job.record.images, job.images.get('main')?.id]).toEqual([{ main: builtId }, builtId]);
    signReceipt(job);
    expect(signed[0]?.images[0]?.provenance).toEqual({
      ...{ revision_sha256: tar.sha256, bases: Object.values(source.bases) },
      ...{ builder: 'docker-classic', engine: '20.10.24' },
    });
  });

  it('tells how far it is by the labels of init commands, and has what the build said in its log (C-22)', async () => {
    const { prepare, kept } = await buildingHost({
      build: async (_request, { onLog, onProgress }) => {
        onProgress?.({ step: 2, steps: 3, text: 'RUN make' });
        onProgress?.({ step: 3, steps: 3, text: 'RUN ["true"]', label: 'warm' });
        onProgress?.({ step: 2, steps: 3, text: 'RUN make' });
        onLog?.('made ');
        onLog?.('it\nand it\n');
      },
    });

    const { events, logLines } = await prepare();

    const values = { image: 'main', step: 2, steps: 3 };
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'image.progress', message: 'main: step 2 of 3, RUN make', values }),
    );
    expect(events).toContainEqual(
      expect.objectContaining({
        message: 'main: step 3 of 3, init command warm: RUN ["true"]',
        values: { image: 'main', step: 3, steps: 3, label: 'warm' },
      }),
    );
    const lines = logLines.map((text) => JSON.parse(text)).filter(({ msg }) => msg === 'build');
    expect(lines).toContainEqual(expect.objectContaining({ ...values, text: 'made' }));
    const [first, second] = ['Step 2 of 3: RUN make\n', 'Step 3 of 3: init command warm: RUN ["true"]\n'];
    // Its image is as good where the log could not be kept, and that is said.
    expect(kept).toEqual({ 'job-1 build': `${first}${second}${first}made it\nand it\n` });
    expect(events.map(({ type }) => type)).toContain('log.lost');
  });

  it('says what it says while it is built, to whoever reads it then, and that it is kept before its job goes on', async () => {
    const go = Promise.withResolvers<void>();
    const { prepare, logs } = await buildingHost({
      build: async (_request, { onLog, onProgress }) => {
        onProgress?.({ step: 1, steps: 2, text: 'RUN make' });
        onLog?.('waits\n');
        await go.promise;
        onLog?.('goes on\n');
      },
    });
    const { signal } = new AbortController();
    const read = () => logs.inPlaceOf('gpuaas-job-1.build')?.read({ follow: true, signal });

    const preparing = prepare();
    const reading = read();
    const before = [await reading?.next(), await reading?.next()].map((each) => String(each?.value?.data));
    const alsoThen = String((await read()?.next())?.value?.data);
    go.resolve();
    const after = (await Array.fromAsync(reading ?? [])).map(({ data }) => String(data));
    const { job } = await preparing;

    expect([before, alsoThen, after]).toEqual([
      ['Step 1 of 2: RUN make', 'waits'],
      'Step 1 of 2: RUN make',
      ['goes on'],
    ]);
    expect(job.record.outputs).toMatchObject([{ name: 'build.log' }]);
  });

  it('has a log of its own beside that of another image', async () => {
    const { prepare, kept } = await buildingHost({
      build: async ({ source: of }, { onLog }) => onLog?.(`in ${of.work_dir}\n`),
      engine: { builtImage: async () => undefined },
    });
    const images = [
      { id: 'main', source },
      { id: 'second', source: { ...source, work_dir: '/other' } },
    ];

    await prepare('project-7', AbortSignal.timeout(60_000), { images });

    expect(kept).toEqual({ 'job-1 build': 'in /app\n', 'job-1 build-2': 'in /other\n' });
  });

  it('keeps about as much of what it has said in short lines', async () => {
    const lines = 'a line.\n'.repeat(4096);
    const { prepare, kept } = await buildingHost({
      build: async (_request, { onLog }) => {
        for (let count = 0; count < 160; count += 1) onLog?.(lines);
        onLog?.('last\n');
      },
    });

    await prepare();

    const [text = ''] = Object.values(kept);
    expect(text.length).toBeGreaterThan(2 ** 18);
    expect(text.length).toBeLessThan(2 ** 19);
    expect(text.endsWith('a line.\nlast\n')).toBe(true);
  });

  it('keeps the end of what a build has said where that is long', async () => {
    const { prepare, kept } = await buildingHost({
      build: async (_request, { onLog }) => {
        onLog?.('first\n');
        for (let count = 0; count < 100; count += 1) onLog?.('x'.repeat(65_536));
        onLog?.('\nlast\n');
      },
    });

    await prepare();

    const [text = ''] = Object.values(kept);
    expect(text.length).toBeGreaterThan(2 ** 20);
    expect(text.length).toBeLessThan(4 * 2 ** 20);
    expect([text.startsWith('first'), text.endsWith('\nlast\n')]).toEqual([false, true]);
  });

  it('is there for the next job of its project: nothing is pulled, fetched or built', async () => {
    const { prepare, given, pulls, asked, logs } = await buildingHost();
    await prepare();

    const { job } = await prepare();

    expect([job.record.images, given.length, pulls().length, asked.length]).toEqual([{ main: builtId }, 1, 2, 1]);
    expect(logs.namesOf('job-1')).toEqual([]);
  });

  it('is built once for two jobs that want it at the same time, and again for another project', async () => {
    const { prepare, given } = await buildingHost();

    await Promise.all([prepare(), prepare(), prepare('project-8')]);

    expect(given.toSorted().map((each) => each.slice(0, 9))).toEqual(['project-7', 'project-8']);
  });

  it('waits for another that is at work, and says so', async () => {
    const atWork: string[] = [];
    const { prepare } = await buildingHost({
      build: async ({ projectId }) => {
        atWork.push(projectId);
        await new Promise((resolve) => setImmediate(resolve));
        expect(atWork).toEqual([projectId]);
        atWork.pop();
      },
    });

    const both = await Promise.all([prepare(), prepare('project-8')]);

    const waits = both.map(({ events }) => events.filter(({ values }) => values?.['waiting'] === true).length);
    expect(waits.toSorted()).toEqual([0, 1]);
  });

  it('has the network of its job where it is to have one', async () => {
    const asked: (string | undefined)[] = [];
    const build = async ({ network }: BuildRequest) => void asked.push(network);
    const { prepare, calls } = await buildingHost({ build });

    const { job } = await prepare('project-7', AbortSignal.timeout(60_000), {
      network: 'bridge',
      images: [{ id: 'main', source: { ...source, network: 'bridge' } }],
    });

    expect(asked).toEqual([`gpuaas-${job.id}`]);
    expect(calls).toContain(`ensureNetwork gpuaas-${job.id}`);
  });

  it('does not hold a job that is to end while another builds', async () => {
    const begun = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const { prepare } = await buildingHost({
      build: async () => {
        begun.resolve();
        await go.promise;
      },
    });
    const first = prepare();
    await begun.promise;

    await expect(prepare('project-7', AbortSignal.abort(new Error('cancelled')))).rejects.toThrow('cancelled');

    go.resolve();
    await first;
  });

  it('is not begun where a base cannot be had', async () => {
    const { prepare, given, asked } = await buildingHost({
      engine: { pull: () => Promise.reject(new AgentError('image.not_found')) },
    });

    await expect(prepare()).rejects.toMatchObject({ code: 'image.not_found' });

    expect([given, asked]).toEqual([[], []]);
  });

  it('is built anew after a build that has failed', async () => {
    let fails = true;
    const { prepare, given, asked } = await buildingHost({
      build: async () => {
        if (fails) throw new AgentError('disk.full');
      },
    });
    await expect(prepare()).rejects.toMatchObject({ code: 'disk.full' });
    fails = false;

    const { job } = await prepare();

    expect([job.record.images, given.length, asked.length]).toEqual([{ main: builtId }, 2, 1]);
  });

  it('is refused where nothing is fetched', async () => {
    const { context } = taskContext(recordingEngine().engine);
    const of = plan({ images: [{ id: 'main', source }], network: 'none' });
    const job = new RunningJob(keptJob('preparing', 'pending', { plan: of }), context);

    await expect(prepareJob(job, AbortSignal.timeout(60_000))).rejects.toMatchObject({ code: 'task.unsupported' });
  });
});
