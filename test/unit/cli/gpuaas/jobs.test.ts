/** `gpuaas jobs`, against a control plane in this process; its host is an agent of which the tests say every word. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it, vi } from 'vitest';
import type { CommandReport } from '../../../../src/contract/exe-script.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { KeptOutput } from '../../../../src/contract/job-outputs.ts';
import type { JobPlan } from '../../../../src/contract/job-plan.ts';
import type { JobReport } from '../../../../src/contract/job-report.ts';
import type { StreamedEntry } from '../../../../src/contract/session-messages.ts';
import type { TaskEnvelope } from '../../../../src/contract/task-envelope.ts';
import { openFolder } from '../../../../src/kit/tarball/open-folder.ts';
import { canonicalTar } from '../../../../src/kit/tarball/write-tar.ts';
import type { JobView } from '../../../../src/server/jobs/job-view.ts';
import { atFileEnd } from '../../../support/file-end.ts';
import { aStep, jobOutput, jobServer } from '../../../support/job-server.ts';
import { runtimeStatus } from '../../../support/launch-samples.ts';
import { withScript } from '../../../support/payload-manifests.ts';
import { haveRevision } from '../../../support/revision-samples.ts';
import { runGpuaas } from '../../../support/run-gpuaas.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const server = await jobServer();
const host = await server.connect();
const folder = temporaryFolder('cli-jobs');
const token = (who: string) => server.tokens[who] ?? '';
const run = (...words: string[]) => runGpuaas({ url: server.url, token: token('member') }, ['jobs', ...words]);
const asAdmin = (...words: string[]) => runGpuaas({ url: server.url, token: token('admin') }, ['jobs', ...words]);
const at = '2026-11-25T10:00:02.000Z';

function fileOf(name: string, document: unknown): string {
  const file = join(folder, name);
  writeFileSync(file, typeof document === 'string' ? document : JSON.stringify(document));
  return file;
}

const text = (file: string) => readFileSync(file, 'utf8');
// biome-ignore lint/suspicious/noExplicitAny: tests look into lines of every shape.
const linesOf = (said: string): any[] =>
  said
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const hello = fileOf('hello.json', server.hello());

function entriesOf(lines: readonly string[]): StreamedEntry[] {
  return lines.map((line) => {
    return { time: at, channel: 'stdout', text: line, encoding: 'utf8', partial: false, service: 'hello' };
  });
}

/** The log of its step, as its host keeps it. */
async function keepLog(task: TaskEnvelope, lines: readonly string[]): Promise<KeptOutput[]> {
  const content = lines.map((line) => `${JSON.stringify({ time: at, channel: 'stdout', text: line })}\n`).join('');
  const about = { name: 'hello.log', kind: 'log', media_type: 'application/x-ndjson', file_name: 'hello.log' } as const;
  return [await host.keep(task, content, about)];
}

type End = (task: TaskEnvelope, outputs: KeptOutput[]) => void;

/** The next job that its host is given, which says this as its log and ends in that way. */
async function carriedOut(lines: readonly string[], end: End): Promise<TaskEnvelope> {
  const task = await host.agent.accept();
  host.report(task, {});
  const { stream, source } = await host.agent.next('logs_open');
  expect(source).toEqual({ kind: 'instance', id: task.workload_id });
  host.agent.send({ type: 'logs_chunk', stream, cursor: 'c1', block: entriesOf(lines) });
  await server.reaches(task.workload_id, 'running');
  end(task, await keepLog(task, lines));
  await server.reaches(task.workload_id, 'succeeded', 'failed', 'cancelled');
  host.agent.send({ type: 'logs_end', stream, failure: null });
  return task;
}

const succeeds: End = (task, outputs) => host.end(task, { output: jobOutput({ outputs }) });

const failure = new AgentError('step.failed', {
  reason: 'hello ended with 3.',
  step: 'hello',
  exit_code: 3,
  excerpt: 'oh no',
}).toFailure();

const reported = jobOutput().report as JobReport;

function fails(task: TaskEnvelope, outputs: KeptOutput[], more: Partial<JobReport> = {}): void {
  const step = { ...aStep, state: 'failed' as const, exit_code: 3, ended_at: at, failure };
  const report = { ...reported, state: 'failed' as const, steps: [step], failure, ...more };
  host.end(task, {
    status: 'failed',
    failure,
    output: jobOutput({ state: 'failed', failure, report, outputs }) as never,
  });
}

describe('gpuaas jobs submit of a Golem manifest', () => {
  const manifest = { ...withScript(['run /bin/date']), metadata: { name: 'dates', version: '1', authors: ['a', 'b'] } };
  const file = fileOf('dates.json', manifest);
  const batch = fileOf('batch.json', [{ run: { entry_point: '/bin/date' } }]);
  const able = server.store.write(async (tx) => {
    const node = await tx.nodes.get('node-1');
    const plans = ['payload', 'allow_list'];
    const offers = { sandboxes: ['gvisor'], builds: false, build_network: false, downloads: true, plans };
    if (node) await tx.nodes.put({ ...node, runtime: runtimeStatus({ offers }) });
  });

  it('sends the batch, the manifest as it is signed, and who signs it, and shows what its author says (M-9, X-24)', async () => {
    await able;
    const signature = join(folder, 'signature.bin');
    writeFileSync(signature, Buffer.from([0xff, 0, 1]));
    const certificate = fileOf('author.pem', '-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n');
    const signed = ['--signature', signature, '--certificate', certificate, '--algorithm', 'sha512'];
    const partner = { document: 'e30=', signature: '/wAB', algorithm: 'sha256', certificate: 'MIIA' };
    const from = ['--partner', fileOf('partner.json', partner)];
    const { status, out } = await run('submit', file, '--script', batch, ...signed, ...from, '--json');
    const task = await host.agent.accept();

    expect([status, (task.params as JobPlan).signed_manifest]).toEqual([
      0,
      {
        manifest: Buffer.from(text(file)).toString('base64'),
        proof: {
          ...{ signature: '/wAB', algorithm: 'sha512' },
          certificate: Buffer.from(text(certificate)).toString('base64'),
        },
        partner,
      },
    ]);
    const { id } = JSON.parse(out) as JobView;
    expect((await run('describe', id)).out).toMatch(/about +dates 1; by a, b/);
    host.end(task, {});
    await server.reaches(id, 'succeeded');
  });

  it('says which command is refused, and needs a whole signature', async () => {
    const wrong = fileOf('wrong-batch.json', [{ run: { entry_point: '/bin/sh' } }]);
    const refused = await run('submit', file, '--script', wrong);

    expect([refused.status, refused.err]).toEqual([3, expect.stringContaining('its program is /bin/sh')]);
    expect((await run('submit', file, '--script', fileOf('none.json', '{}'))).status).toBe(2);
    expect((await run('submit', file, '--script', batch, '--signature', batch)).err).toContain('belong together');
  });

  it('names addresses for jobs of other dialects', async () => {
    const { status } = await run('submit', hello, '--allow', 'https://a.example', '--allow', 'http://b.example:8080');
    const task = await host.agent.accept();

    expect([status, (task.params as JobPlan).egress?.rules]).toEqual([
      0,
      [
        { scheme: 'https', host: 'a.example', port: 443 },
        { scheme: 'http', host: 'b.example', port: 8080 },
      ],
    ]);
    host.end(task, {});
    await server.reaches(task.workload_id, 'succeeded');
  });
});

describe('gpuaas jobs submit', () => {
  it('of a revision gives what its task and its host are to have, and is one thing or the other', async () => {
    const manifest = {
      version: 1,
      runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
      entrypoint: { command: ['python', 'job.py'] },
    };
    const { sha256 } = await haveRevision(server, Buffer.from('a project'), {}, manifest);
    await server.store.write(async (tx) => {
      const node = await tx.nodes.get('node-1');
      const offers = { sandboxes: ['runc' as const, 'gvisor' as const], builds: true, build_network: true };
      if (node?.runtime) await tx.nodes.put({ ...node, runtime: { ...node.runtime, offers } });
    });
    const payload = join(folder, 'payload.json');
    writeFileSync(payload, '{ "rounds": 3.0, "seed": 9007199254740993, "far": 1e999 }\n');
    const requirements = JSON.stringify({ memory_mb: 512 });
    const given = ['--payload', payload, '--requirements', requirements, '--resume-from-latest'];
    given.push('--build-network', 'bridge');

    const { status, out } = await run('submit', '--revision', sha256, ...given, '--json');

    expect(status).toBe(0);
    const job: JobView = JSON.parse(out);
    expect(job).toMatchObject({
      dialect: 'computalot',
      options: { build_network: 'bridge', checkpointing: { resume_from_latest: true } },
    });
    const task = await host.agent.accept();
    expect(task).toMatchObject({ workload_id: job.id, params: { resources: { memory_gib: 0.5 } } });
    expect((task.params as JobPlan).inputs[0]?.source).toMatchObject({
      text: '{"rounds":3.0,"seed":9007199254740993,"far":1e999}',
    });
    succeeds(task, []);
    await server.reaches(job.id, 'succeeded');
    for (const words of [['submit'], ['submit', hello, '--revision', sha256]]) {
      const refused = await run(...words);
      expect([refused.status, refused.err]).toEqual([2, expect.stringContaining('or a revision by --revision')]);
    }
    expect((await run('submit', '--revision', sha256, '--requirements', '{')).err).toContain('That is no JSON');
  });

  it('of the folder of a project is of the revision that its files are, and has its name if it gets none', async () => {
    const project = join(folder, 'sums');
    mkdirSync(project);
    const manifest = {
      version: 1,
      runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
      entrypoint: { command: ['python', 'job.py'] },
    };
    writeFileSync(join(project, 'computalot.project.json'), JSON.stringify(manifest));
    writeFileSync(join(project, 'Dockerfile'), 'FROM scratch\n');
    const tar = await buffer(canonicalTar(await openFolder(project)).stream());
    const warnings = [{ path: '', code: 'no_artifacts', message: 'declares no artifacts' }];
    const { sha256 } = await haveRevision(server, tar, { warnings }, manifest);

    const named = await run('submit', project, '--name', 'mine', '--json');
    const { status, out, err } = await run('submit', project, '--json');
    const plain = await run('submit', project, '--resume-from-latest');

    expect([status, err]).toEqual([0, expect.stringContaining(sha256)]);
    expect([JSON.parse(named.out).name, JSON.parse(out).name]).toEqual(['mine', 'sums']);
    expect([plain.status, plain.err]).toEqual([0, expect.stringContaining('warning: / declares no artifacts\n')]);
    expect(plain.err.split('\n').filter((line) => line.startsWith('warning: /options/'))).toEqual([
      expect.stringContaining('/options/checkpointing has nothing to go on from'),
    ]);
    for (const said of [named.out, out, undefined]) {
      const task = await host.agent.accept();
      expect(task).toMatchObject({ params: { images: [{ source: { revision_sha256: sha256 } }] } });
      if (said !== undefined) expect(task.workload_id).toBe(JSON.parse(said).id);
      succeeds(task, []);
      await server.reaches(task.workload_id, 'succeeded');
    }
    expect((await run('submit', project, '--revision', sha256)).status).toBe(2);
    expect((await run('submit', project, '--sandbox', 'runc')).err).toContain('A folder is a Computalot project');
    expect((await run('submit', folder)).err).toContain('computalot.project.json');
  });

  it('says which job it has become, and does not wait; what was asked for is in the plan of its host', async () => {
    const amounts = ['--cpus', '0.5', '--memory', '1', '--shm', '0.25', '--deadline', '60'];
    const { status, out } = await run(
      'submit',
      hello,
      '--name',
      'First',
      ...amounts,
      '--continue-on-failure',
      '--json',
    );

    expect(status).toBe(0);
    const job: JobView = JSON.parse(out);
    expect(job).toMatchObject({ name: 'First', state: 'queued', dialect: 'nosana', steps: [{ id: 'hello' }] });
    const task = await host.agent.accept();
    expect(task.workload_id).toBe(job.id);
    expect(task.params).toMatchObject({
      ...{ resources: { cpu_cores: 0.5, memory_gib: 1, shm_gib: 0.25 }, deadline_seconds: 60 },
      on_failure: 'continue',
    });
    host.end(task, {});
    await server.reaches(job.id, 'succeeded');
  });

  it('in one sentence for people, from standard input as well', async () => {
    const stdin = vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from([text(hello)]) as never);
    const { status, out } = await run('submit', '-');
    stdin.mockRestore();

    expect(status).toBe(0);
    expect(out).toMatch(/^[0-9a-f-]{36} is queued\. .+\.\n$/);
    host.end(await host.agent.accept(), {});
  });

  it('--follow prints what its steps write, and beside that how it stands, and is 0 for one that has succeeded', async () => {
    const following = run('submit', hello, '--follow');
    await carriedOut(['one', 'two'], succeeds);
    const { status, out, err } = await following;

    expect({ status, out }).toEqual({ status: 0, out: 'hello | one\nhello | two\n' });
    expect(err).toMatch(/^([0-9a-f-]{36} is \w+\. .+\n)+$/);
    expect(err).toMatch(/ is succeeded\. .+\n$/);
    expect(`${out}${err}`).not.toContain('\u001b');
  });

  it('--follow --json has entries and the job on stdout, and how it stands on stderr, a line each', async () => {
    const following = run('submit', hello, '--follow', '--json');
    const { workload_id } = await carriedOut(['one'], succeeds);
    const { status, out, err } = await following;

    expect(status).toBe(0);
    const [entry, job, ...more] = linesOf(out);
    expect(entry).toMatchObject({ text: 'one', service: 'hello', channel: 'stdout' });
    expect(job).toMatchObject({ id: workload_id, state: 'succeeded' });
    expect(more).toEqual([]);
    expect(linesOf(err)[0]).toEqual({ type: 'job', id: workload_id, state: 'queued', reason: expect.any(String) });
  });

  it('--follow is 1 for one that has failed, with the facts and what to do', async () => {
    const following = run('submit', hello, '--follow');
    await carriedOut(['oh no'], fails);
    const { status, out, err } = await following;

    expect({ status, out }).toEqual({ status: 1, out: 'hello | oh no\n' });
    expect(err).toMatch(/ is failed\. .*ended with 3\.$/m);
    expect(err).toMatch(/^failed: A step of the job failed\..* \[step\.failed\]$/m);
    expect(err).toMatch(/^ {2}exit_code: 3$/m);
    expect(err).toMatch(/^hint: /m);
  });

  it('--wait prints what happens, without the phases of its task', async () => {
    const waiting = run('submit', hello, '--wait');
    const task = await host.agent.accept();
    host.tell(task, 'phase.entered', 'The workload is probing.');
    host.tell(task, 'image.pulled', 'The image is there.');
    host.end(task, {});
    const { status, out, err } = await waiting;

    expect(status).toBe(0);
    expect(out).toMatch(/^[0-9a-f-]{36} is succeeded\. .+\n$/);
    expect(err).toMatch(/^\d\d:\d\d:\d\d {2}hello was submitted: one step\.\n(\d\d:\d\d:\d\d {2}.+\n)+$/);
    expect(err).toContain('The image is there.');
    expect(err).not.toContain('The workload is probing.');
  });

  it('--follow is 1 for one that was cancelled, and there is no log of one that was never begun', async () => {
    // Its host has no room for anything while this one is there.
    const large = JSON.parse((await run('submit', hello, '--cpus', '8', '--memory', '8', '--json')).out) as JobView;
    const first = await host.agent.accept();
    host.report(first, {});
    await server.reaches(large.id, 'running');
    const waiting = run('submit', hello, '--cpus', '8', '--follow');
    await expect.poll(queued).toHaveLength(1);
    const [id = ''] = await queued();
    await server.call('POST', `/api/v1/jobs/${id}/cancel`, { headers: { 'idempotency-key': 'c1' } });
    const { status, out, err } = await waiting;

    expect({ status, out }).toEqual({ status: 1, out: '' });
    expect(err).toMatch(/ is cancelled\. It was cancelled before it was begun\.\n/);
    host.end(first, {});
    await server.reaches(large.id, 'succeeded');
  });

  it('ends on Ctrl-C with what that means and how to look at it; the job goes on', async () => {
    const waiting = run('submit', hello, '--follow', '--json');
    const task = await host.agent.accept();
    host.report(task, {});
    const { stream } = await host.agent.next('logs_open');
    await server.reaches(task.workload_id, 'running');

    process.emit('SIGINT');
    const { status, out } = await waiting;

    expect(status).toBe(75);
    expect(linesOf(out).at(-1)).toMatchObject({
      failure: { code: 'command.interrupted', hint: expect.stringContaining('gpuaas jobs describe') },
    });
    expect(process.listenerCount('SIGINT')).toBe(0);
    expect(await server.job(task.workload_id)).toMatchObject({ state: 'running' });
    host.agent.send({ type: 'logs_end', stream, failure: null });
    host.end(task, {});
    await server.reaches(task.workload_id, 'succeeded');
  });

  it('is refused with every error and its path, and nothing was kept', async () => {
    const before = (await run('list', '--json')).out;
    const file = fileOf('bad.json', {
      ...{ version: '0.1', type: 'container', nonsense: true, more: 1 },
      ops: [{ type: 'container/walk', id: 'a', args: {} }],
    });
    const people = await run('submit', file);
    const programs = await run('submit', file, '--json');

    expect(people).toMatchObject({ status: 3, out: '' });
    for (const path of ['/nonsense', '/more', '/ops/0/type'])
      expect(people.err).toMatch(new RegExp(`^  ${path}: `, 'm'));
    expect(people.err).toMatch(/^hint: .*gpuaas manifest validate FILE/m);
    expect(programs.status).toBe(3);
    expect(linesOf(programs.out)[0].failure).toMatchObject({
      ...{ code: 'job.invalid' },
      detail: { errors: expect.arrayContaining([expect.objectContaining({ path: '/nonsense' })]) },
    });
    expect((await run('list', '--json')).out).toBe(before);
  });

  it('is refused where its token belongs to no project, unless one is named, by GPUAAS_PROJECT too', async () => {
    const refused = await asAdmin('submit', hello);
    vi.stubEnv('GPUAAS_PROJECT', 'p1');
    const { status, out } = await asAdmin('submit', hello, '--json');

    expect(refused.status).toBe(3);
    expect(refused.err).toMatch(/^ {2}\/project_id: is missing/m);
    expect({ status, ...JSON.parse(out) }).toMatchObject({ status: 0, project_id: 'p1' });
    host.end(await host.agent.accept(), {});
  });

  it('cannot be used with a file that does not exist, or values that are none', async () => {
    expect(await run('submit', join(folder, 'nowhere.json'))).toMatchObject({
      ...{ status: 2, out: '' },
      err: expect.stringContaining('nowhere.json cannot be read (ENOENT)'),
    });
    for (const words of [
      ['--cpus', 'many'],
      ['--deadline', '0'],
      ['--dialect', 'none'],
      ['--sandbox', 'none'],
    ]) {
      expect(await run('submit', hello, ...words)).toMatchObject({ status: 2, out: '' });
    }
  });

  it('is made once where the answer is lost: what is sent again has the same key', async () => {
    const before = linesOf((await run('list', '--json')).out)[0].items.length;
    const way = await aWay();
    way.losesNext();
    const { status, out } = await runGpuaas({ url: way.url, token: token('member') }, [
      'jobs',
      'submit',
      hello,
      '--json',
    ]);

    expect(status).toBe(0);
    expect(way.keys).toEqual([expect.any(String), way.keys[0]]);
    expect(linesOf((await run('list', '--json')).out)[0].items).toHaveLength(before + 1);
    const task = await host.agent.accept();
    expect(task.workload_id).toBe(JSON.parse(out).id);
    host.end(task, {});
    await server.reaches(task.workload_id, 'succeeded');
  });

  it('goes on following when its control plane was away, says so once, and no line is lost or there twice', async () => {
    const way = await aWay();
    const following = runGpuaas({ url: way.url, token: token('member') }, ['jobs', 'submit', hello, '--follow']);
    const task = await host.agent.accept();
    host.report(task, {});
    const { stream } = await host.agent.next('logs_open');
    host.agent.send({ type: 'logs_chunk', stream, cursor: 'c1', block: entriesOf(['one']) });
    await server.reaches(task.workload_id, 'running');
    await expect.poll(() => way.passed.join('')).toContain('"one"');
    way.away();
    succeeds(task, await keepLog(task, ['one', 'two']));
    await server.reaches(task.workload_id, 'succeeded');
    await expect.poll(() => way.refused.join('\n')).toContain('/logs?');
    way.back();
    const { status, out, err } = await following;

    expect({ status, out }).toEqual({ status: 0, out: 'hello | one\nhello | two\n' });
    expect(err.match(/The control plane does not answer/g)).toHaveLength(1);
    expect(err.match(/The control plane is back/g)).toHaveLength(1);
  });
});

describe('gpuaas jobs list, describe, logs, cancel and remove', () => {
  it('show a job that failed, from what it is to what to do', async () => {
    const { id } = JSON.parse((await run('submit', hello, '--json')).out);
    const task = await host.agent.accept();
    const message = 'lnk could not be kept. It is a link.';
    const warnings = [{ kind: 'output' as const, name: 'lnk', code: 'output.refused', message }];
    host.report(task, { warnings });
    fails(task, [], { warnings });
    await server.reaches(id, 'failed');
    const [list, failed, none] = [
      await run('list'),
      await run('list', '--state', 'failed', '--json'),
      await run('list', '--state', 'expired'),
    ];
    const [page, json] = [await run('describe', id), await run('describe', id, '--json')];

    expect(list.out).toMatch(/^ID +NAME +STATE +STEPS +SUBMITTED +NODE +PROJECT +REASON\n/);
    expect(list.out).toMatch(
      new RegExp(`^${id} +hello +failed +1 of 1 +\\S+ +host-1 +p1 +A step of the job failed`, 'm'),
    );
    expect(linesOf(failed.out)[0].items.map((job: JobView) => job.state)).not.toContain('succeeded');
    expect(none).toMatchObject({ status: 0, out: '', err: 'No jobs.\n' });
    expect(page.out).toMatch(/^state +failed for /m);
    expect(page.out).toMatch(/^ {2}hello +op:hello +failed +3 /m);
    expect(page.out).toMatch(/^Why\n {2}A step of the job failed\..* \[step\.failed\]\n/m);
    expect(page.out.trimEnd().split('\n').at(-1)).toMatch(/^ {2}hint: /);
    expect(page.out).toMatch(/^Warnings\n {2}lnk could not be kept\. It is a link\.\n/m);
    expect(JSON.parse(json.out)).toMatchObject({
      ...{ id, state: 'failed', failure: { code: 'step.failed' }, run_warnings: warnings },
    });
  });

  it('describe has each command of a script with its exit code, and what it has written', async () => {
    const { id } = JSON.parse((await run('submit', hello, '--json')).out);
    const task = await host.agent.accept();
    const none = { exit_code: null, message: null, duration_ms: null };
    const commands: CommandReport[] = [
      { ...none, index: 0, command: 'deploy', state: 'succeeded', duration_ms: 0 },
      {
        ...{ index: 1, command: 'run /bin/tool -x', state: 'failed', exit_code: 4, duration_ms: 1200 },
        ...{ message: 'It ended with 4.', stdout: { text: 'a\nb\n', truncated: false } },
        stderr: { text: 'why\u001b[31m\n', truncated: true },
      },
      { ...none, index: 2, command: 'terminate', state: 'skipped' },
    ];
    const step = { ...aStep, state: 'failed' as const, exit_code: 4, ended_at: at, failure, commands };
    host.report(task, { steps: [step] });
    fails(task, [], { steps: [step] });
    await server.reaches(id, 'failed');
    const { out } = await run('describe', id);

    expect(out).toMatch(/^ {2}1 +failed +4 +1\S* ?s? +run \/bin\/tool -x: It ended with 4\.$/m);
    expect(out).toMatch(/^ {2}2 +skipped +- +- +terminate$/m);
    expect(out).toContain('stdout of command 1\n  a\n');
    expect(out).toContain('stderr of command 1, its end\n  why');
    expect(out).not.toContain('\u001b');
  });

  it('logs: what it says, of one step, as JSON; and why there is none', async () => {
    const { id } = JSON.parse((await run('submit', hello, '--json')).out);
    const task = await host.agent.accept();
    host.report(task, {});
    await server.reaches(id, 'running');
    const reading = run('logs', id, '--step', 'hello', '--tail', '1', '--json');
    const { stream, source, tail, follow } = await host.agent.next('logs_open');
    expect({ source, tail, follow }).toEqual({
      ...{ source: { kind: 'service', id, service: 'hello' }, tail: 1, follow: false },
    });
    const entry = { time: at, channel: 'stderr', text: 'oh', encoding: 'utf8', partial: false } as const;
    host.agent.send({ type: 'logs_chunk', stream, cursor: 'c1', block: [entry] });
    host.agent.send({ type: 'logs_end', stream, failure: null });

    expect(await reading).toMatchObject({ status: 0, out: `${JSON.stringify(entry)}\n` });
    expect(await run('logs', id, '--step', 'nowhere')).toMatchObject({ status: 3, out: '' });
    host.end(task, {});
    await server.reaches(id, 'succeeded');
  });

  it('logs of one of which no step was begun: says beside the log why there is none, and is 0', async () => {
    const { id } = JSON.parse((await run('submit', hello, '--json')).out);
    const task = await host.agent.accept();
    host.end(task, { status: 'failed', failure: new AgentError('image.not_found').toFailure(), output: null });
    await server.reaches(id, 'failed');

    const said = `gpuaas jobs describe ${id}`;
    for (const follow of [[], ['--follow']]) {
      expect(await run('logs', id, ...follow)).toEqual({ status: 0, out: '', err: expect.stringContaining(said) });
    }
    const json = await run('logs', id, '--json');
    expect([json.status, json.out]).toEqual([0, '']);
    expect(JSON.parse(json.err)).toEqual({ type: 'log', message: expect.stringContaining(said) });
  });

  it('cancel waits until it is over; remove takes away what is over, and refuses what is not', async () => {
    const { id } = JSON.parse((await run('submit', hello, '--json')).out);
    const task = await host.agent.accept();
    host.report(task, {});
    await server.reaches(id, 'running');

    expect(await run('remove', id)).toMatchObject({ status: 3, err: expect.stringContaining('[job.running]') });
    const asked = await run('cancel', id, '--no-wait', '--json');
    expect(JSON.parse(asked.out)).toMatchObject({ id, state: 'running' });
    const cancelling = run('cancel', id);
    const cancelled = new AgentError('job.cancelled').toFailure();
    const report = { ...reported, state: 'cancelled' as const, failure: cancelled };
    host.end(task, { status: 'cancelled', failure: cancelled, output: jobOutput({ state: 'cancelled', report }) });
    expect(await cancelling).toMatchObject({ status: 0, out: expect.stringMatching(` is cancelled. `) });

    expect(await run('remove', id)).toMatchObject({ status: 0, out: `${id} is gone.\n` });
    expect((await run('remove', id)).status).toBe(3);
  });

  it.each(['describe', 'logs', 'cancel', 'remove'])('%s of one that nobody knows is 3, with its name', async (verb) => {
    expect(await run(verb, 'nowhere')).toMatchObject({ status: 3, out: '', err: expect.stringContaining('"nowhere"') });
    const { status, out } = await run(verb, 'nowhere', '--json');
    expect({ status, ...JSON.parse(out) }).toMatchObject({ status: 3, failure: { code: 'resource.not_found' } });
  });
});

async function queued(): Promise<string[]> {
  const { body } = await server.call('GET', '/api/v1/jobs?state=queued');
  return body.items.map(({ id }: JobView) => id);
}

/** A way to the control plane that can be cut, and loses an answer where it is told to. */
async function aWay() {
  const keys: unknown[] = [];
  const refused: string[] = [];
  const passed: string[] = [];
  let loses = false;
  let isAway = false;
  const open = new Set<ServerResponse>();
  const http = createServer(async (request, response) => {
    if (isAway) {
      refused.push(request.url ?? '');
      return void response.destroy();
    }
    open.add(response);
    const body = await buffer(request);
    const { method = 'GET', headers } = request;
    if (method === 'POST') keys.push(headers['idempotency-key']);
    const taken = Object.entries(headers).filter(([name]) => !['host', 'connection', 'content-length'].includes(name));
    const answer = await fetch(`${server.url}${request.url}`, {
      ...{ method, headers: Object.fromEntries(taken) as Record<string, string> },
      ...(method === 'GET' ? {} : { body }),
    });
    if (loses) {
      loses = false;
      return void response.destroy();
    }
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
    for await (const piece of answer.body ?? []) {
      response.write(piece);
      passed.push(Buffer.from(piece).toString());
    }
    response.end();
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  atFileEnd(() => {
    http.closeAllConnections();
    http.close();
  });
  return {
    ...{ url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, keys, refused, passed },
    losesNext: () => {
      loses = true;
    },
    away: () => {
      isAway = true;
      for (const response of open) response.destroy();
    },
    back: () => {
      isAway = false;
    },
  };
}
