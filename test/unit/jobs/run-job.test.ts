import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import type { JobPlan } from '../../../src/contract/job-plan.ts';
import type { ReceiptFacts } from '../../../src/contract/job-receipt.ts';
import type { RecordBody } from '../../../src/contract/records.ts';
import { boundedReport } from '../../../src/jobs/job-record.ts';
import { memoryRecords } from '../../../src/jobs/memory-records.ts';
import type { JobOutputs } from '../../../src/jobs/outputs/job-outputs.ts';
import { runJob } from '../../../src/jobs/run-job.ts';
import { redact } from '../../../src/kit/log.ts';
import type { JobContainerRequest } from '../../../src/policy/job-request.ts';
import type { PathFacts } from '../../../src/runtime/engine.ts';
import { cardLedger, sampleGpu } from '../../support/gpus.ts';
import { hubServer } from '../../support/hub-server.ts';
import { inputsGround } from '../../support/inputs-ground.ts';
import { type JobEngine, jobEngine, type Script } from '../../support/job-engine.ts';
import { jobIdentity, plan, service, step, words } from '../../support/job-plans.ts';
import { type Fault, status } from '../../support/loopback-source.ts';
import { taskContext } from '../../support/task-bench.ts';
import { toldRecords } from '../../support/told-records.ts';

describe('a job with a list of addresses', () => {
  const listed: Partial<JobPlan> = {
    network: 'allow_list',
    egress: { rules: [{ scheme: 'https', host: 'api.example', port: 443 }], any_public: [] },
  };

  it('has its proxy before its first container, and is told where that is (M-36)', async () => {
    const steps = [step('one', { env: { values: { HTTP_PROXY: 'mine' }, merge: [] } })];
    const { report, calls, requests } = await run({ ...listed, steps }, {});

    expect(report).toEqual({ job: 'succeeded', one: 'succeeded' });
    const made = calls.filter((call) => /^(ensureEgress|ensureNetwork|create|start)/.test(call));
    expect(made.slice(0, 1)).toEqual(['ensureEgress job-1']);
    expect(made).not.toContain('ensureNetwork gpuaas-job-1');
    const { Env, HostConfig } = requests[0] as JobContainerRequest;
    expect(Env).toEqual(
      expect.arrayContaining(['HTTPS_PROXY=http://egress:3128', 'HTTP_PROXY=mine', 'NO_PROXY=localhost,127.0.0.1,one']),
    );
    expect(HostConfig).toMatchObject({ NetworkMode: 'gpuaas-job-1', Dns: ['127.0.0.1'] });
  });

  it('starts nothing where its proxy cannot be begun (M-37)', async () => {
    const unavailable = new AgentError('egress.unavailable', { reason: 'It does not listen.' });
    const { report, calls, job } = await run(
      listed,
      {},
      undefined,
      {},
      { ensureEgress: () => Promise.reject(unavailable) },
    );

    expect(report).toMatchObject({ job: 'failed', one: 'failed' });
    expect(job.record.failure).toMatchObject({ code: 'egress.unavailable' });
    expect(calls.filter((call) => call.startsWith('start'))).toEqual([]);
  });

  it('tells what its proxy has refused, to the last', async () => {
    const line = JSON.stringify({ refused: 'not_listed', host: 'b.example', port: 443, scheme: null, reason: 'No.' });
    const { events } = await run(
      listed,
      {},
      undefined,
      {},
      {
        logs: async function* (name) {
          const entry = { cursor: '1', time: '', channel: 'stdout' as const, data: Buffer.from(line), partial: false };
          if (name === 'gpuaas-job-1.egress') yield entry;
        },
      },
    );

    const refused = events.filter(({ type }) => type === 'egress.refused');
    expect(refused[0]?.values).toMatchObject({ host: 'b.example', port: 443, code: 'not_listed', count: 1 });
  });
});

describe('a job of one step', () => {
  it('is created, started, awaited and taken away', async () => {
    const { report, calls, job } = await run({}, {});

    expect(report).toEqual({ job: 'succeeded', one: 'succeeded' });
    expect(job.record.steps['one']).toMatchObject({ exit_code: 0, signal: null, attempts: 1, failure: null });
    expect(calls.filter((call) => /^(create|start|stop|remove)/.test(call))).toEqual([
      'create gpuaas-job-1.one',
      'start gpuaas-job-1.one',
      'remove gpuaas-job-1.one',
      'removeNetwork gpuaas-job-1',
      'removeData job-1 (data)',
    ]);
  });

  it('fails with the exit code of the step', async () => {
    const { report, job } = await run({}, { one: [{ exit: 3, says: ['no such file'] }] });

    expect(report).toEqual({ job: 'failed', one: 'failed' });
    expect(job.record.failure).toMatchObject({
      code: 'step.failed',
      detail: { step: 'one', exit_code: 3, excerpt: 'no such file' },
    });
    expect(job.record.failure?.detail).not.toHaveProperty('advice');
  });

  it('says where it can write, where a write to its read-only root was refused (C-81)', async () => {
    const { job } = await run({ read_only_root: true }, { one: [{ exit: 1, says: ['x: Read-only file system'] }] });

    expect(job.record.failure).toMatchObject({ detail: { advice: expect.stringMatching(/one can write nowhere\.$/) } });
  });

  it.each([
    ['a signal', { exit: 139 }, 'step.failed', { signal: 'SIGSEGV', exit_code: null }],
    ['want of memory', { exit: 137, oom: true }, 'container.oom_killed', { signal: 'SIGKILL', oom_killed: true }],
    ['an exit above all signals', { exit: 255 }, 'step.failed', { signal: null, exit_code: 255 }],
  ])('tells apart that it was ended by %s', async (_, script, code, facts) => {
    const { job } = await run({}, { one: [script] });

    expect(job.record.failure).toMatchObject({ code });
    expect(job.record.steps['one']).toMatchObject(facts);
  });

  it('is not begun after a restart where it would be refused now', async () => {
    const engine = jobEngine({});
    const { context } = taskContext(engine.engine);
    const lacking = new AgentError('sandbox.unavailable', { sandbox: 'gvisor', reason: 'It is a runc.' });

    await expect(runJob(plan(), { ...context, lacking })).rejects.toBe(lacking);

    expect(engine.calls).toEqual([]);
    expect(context.jobs.records.all()).toEqual([]);
  });

  it('gives its cards back where its host has no room on the disk for it', async () => {
    const engine = jobEngine({});
    const gpus = cardLedger(engine.engine, [sampleGpu()]).ledger;
    const { context } = taskContext(engine.engine, { gpus });
    const begin = () => {
      expect(gpus.holders().size).toBe(1);
      return Promise.reject(new AgentError('disk.full', { reason: 'no room' }));
    };
    const look = async () => ({ isShort: false, evictable: 0, held: new Map() });
    const room = { make: async () => undefined, look, begin };
    const asking = plan({ resources: { gpu_count: 1, cpu_cores: 1, memory_gib: 1 } });

    const ended = runJob(asking, { ...context, jobs: { ...context.jobs, room } });

    await expect(ended).rejects.toMatchObject({ code: 'disk.full' });
    expect(gpus.holders().size).toBe(0);
  });

  it('has a receipt that says which attempt of it it was', async () => {
    const attempts = [jobIdentity, { ...jobIdentity, attempt: 3 }].map((identity) => run({ identity }, {}));

    expect((await Promise.all(attempts)).map(({ signed }) => signed.map(({ attempt }) => attempt))).toEqual([[1], [3]]);
  });

  it('tells of what commit of a repository it had, while it runs and in its receipt', async () => {
    const commit = 'c'.repeat(40);
    const hub = await hubServer([{ repo: 'acme/tiny', commit, large: {}, small: { a: 'a' } }]);
    const { inputs } = inputsGround({ policy: { endpoints: { huggingface: hub.origin } } });
    const source = { kind: 'huggingface' as const, repo: 'acme/tiny', revision: 'main', files: [] };
    const beside = { kind: 'inline' as const, file_name: 'b', text: 'b' };
    const input = { volume: 'data', required: true, cache_seconds: 60 };

    const { reports, signed, job } = await run(
      {
        volumes: [{ name: 'data' }],
        inputs: [
          { ...input, id: 'weights', source },
          { ...input, id: 'payload', source: beside },
        ],
      },
      {},
      undefined,
      { inputs },
    );

    const [weights, payload] = ['weights', 'payload'].map((id) => ({ id, sha256: job.record.inputs[id]?.sha256 }));
    expect(reports.at(-1)?.report.inputs).toEqual([
      { ...weights, commit },
      { ...payload, commit: null },
    ]);
    expect(signed.map(({ inputs: of }) => of)).toEqual([[{ ...weights, commit }, payload]]);
  });

  it('has its receipt told once its containers are gone and what was kept is handed over, and its network goes on', async () => {
    const order: string[] = [];
    const told = Promise.withResolvers<void>();
    const { engine } = jobEngine({}, { removeNetwork: () => told.promise.then(() => order.push('network') > 0) });
    const { context } = taskContext({
      ...engine,
      remove: async (...given) => {
        await engine.remove(...given);
        return order.push('container') > 0;
      },
    });
    const records = toldRecords(({ report, receipt }) => {
      if (receipt === undefined) return;
      order.push(`${receipt} of ${report.state}`);
      told.resolve();
    });
    const outputs: Means['outputs'] = {
      ...{ take: async () => undefined, of: () => [], forget: async () => undefined },
      takeLog: () => Promise.reject(new Error('no room')),
      handedOver: async () => order.push('outputs') > 0,
    };
    const jobs: Means = { ...context.jobs, records, outputs, receipts: { sign: () => 'receipt' } };

    await runJob(plan(), { ...context, jobs });

    expect(order.slice(0, 2).toSorted()).toEqual(['container', 'outputs']);
    expect(order.slice(2)).toEqual(['receipt of succeeded', 'network']);
  });

  it('has its receipt told also where its containers cannot be taken away', async () => {
    const receipts: (string | undefined)[] = [];
    const { engine } = jobEngine({});
    const list = async () => {
      if (receipts.length > 0) throw new AgentError('engine.unavailable');
      return [];
    };
    const { context } = taskContext({ ...engine, list });
    const records = toldRecords(({ report, receipt }) => {
      if (report.state === 'succeeded') receipts.push(receipt);
    });
    const jobs: Means = { ...context.jobs, records, receipts: { sign: () => 'receipt' } };

    await expect(runJob(plan(), { ...context, jobs })).rejects.toMatchObject({ code: 'engine.unavailable' });
    expect(receipts).toEqual([undefined, 'receipt']);
  });

  it('keeps what it has made where it is to', async () => {
    const { calls, cleanup } = await run({ keep: true }, {});

    expect(calls.filter((call) => call.startsWith('remove'))).toEqual([]);
    expect(cleanup.kept).toEqual(['container gpuaas-job-1.one', 'network gpuaas-job-1']);
  });
});

describe('an output', () => {
  it.each([
    [false, 'succeeded'],
    [true, 'failed'],
  ])(
    'that is not there is told of by name and path, which no log takes out (C-75, required: %s)',
    async (required, state) => {
      const output = { name: 'model', volume: 'data', path: 'out/model.bin', type: 'artifact' as const, required };
      const steps = [step('one', { mounts: [{ volume: 'data', path: '/data', read_only: false }] })];
      const { report, events, job } = await run(
        { volumes: [{ name: 'data' }], steps, outputs: [output] },
        {},
        undefined,
        {
          outputs: noOutputs,
        },
      );

      const facts = { output: 'model', path: 'out/model.bin' };
      expect(report.job).toBe(state);
      const told = required ? job.record.failure?.detail : events.find(({ type }) => type === 'output.missing')?.values;
      expect(redact(told ?? {})).toMatchObject(facts);
      expect(JSON.stringify(redact(told ?? {}))).not.toContain('[redacted]');
    },
  );
});

describe('a checkpoint', () => {
  it('is taken at the end once the look that was under way is over (C-71)', async () => {
    const order: string[] = [];
    const looking = Promise.withResolvers<void>();
    const take: JobOutputs['take'] = async (_output, { written_until }, signal) => {
      if (written_until === undefined) {
        order.push('final');
        return undefined;
      }
      looking.resolve();
      await once(signal, 'abort');
      // As long as it takes to bring to the disk what was read.
      await setTimeout(20);
      order.push('look');
      return undefined;
    };
    const output = { name: 'ckpt', volume: 'data', path: 'ckpt', type: 'checkpoint' as const, required: false };
    const steps = [step('one', { mounts: [{ volume: 'data', path: '/data', read_only: false }] })];

    await run(
      { volumes: [{ name: 'data' }], steps, outputs: [output] },
      { one: [{ exit: 0, after: looking.promise }] },
      undefined,
      { outputs: { ...noOutputs, take } },
    );

    expect(order).toEqual(['look', 'final']);
  });
});

describe('data of a hub that is away', () => {
  it.each([true, false])(
    'are asked for again and again, and then told of by their name, with why (C-66, required: %s)',
    async (required) => {
      const hub = await hubServer([{ repo: 'acme/tiny', commit: 'c'.repeat(40), large: {}, small: { a: 'a' } }]);
      hub.faults.push(...Array<Fault>(100).fill(status(503)));
      const { inputs, pauses } = inputsGround({ policy: { endpoints: { huggingface: hub.origin } } });
      const source = { kind: 'huggingface' as const, repo: 'acme/tiny', revision: 'main', files: [] };
      const mounts = [{ volume: 'data', path: '/data', read_only: true }];

      const { job, report, events, calls } = await run(
        {
          ...{ volumes: [{ name: 'data' }], steps: [step('one', { mounts })] },
          inputs: [{ id: 'weights', source, volume: 'data', required, cache_seconds: 60 }],
        },
        {},
        undefined,
        { inputs },
      );

      expect(pauses.length).toBeGreaterThan(3);
      const facts = { input: 'weights', code: 'input.failed' };
      const leftOut = events.filter(({ type }) => type === 'input.left_out').map(({ values }) => values);
      const starts = calls.filter((call) => call.startsWith('start'));
      if (required) {
        expect([report, starts, leftOut]).toEqual([{ job: 'failed', one: 'skipped' }, [], []]);
        const detail = { input: 'weights', status: 503, reason: 'The source answered with status 503.' };
        expect(job.record.failure).toMatchObject({ code: 'input.failed', detail });
      } else {
        expect([report.job, starts, leftOut]).toEqual(['succeeded', ['start gpuaas-job-1.one'], [facts]]);
        const message = expect.stringMatching(/^weights could not be fetched and is not required\. .*status 503\.$/);
        expect(boundedReport(job).warnings).toEqual([
          { kind: 'input', name: 'weights', code: 'input.failed', message },
        ]);
      }
    },
  );
});

describe('steps', () => {
  it('of later groups run once those before have ended', async () => {
    const steps = [step('a', { group: '1' }), step('b', { group: '1' }), step('c', { group: '2' })];
    const { report, calls } = await run({ steps }, {});
    const order = calls.filter((call) => call.startsWith('start')).map((call) => call.slice(-1));

    expect(report).toEqual({ job: 'succeeded', a: 'succeeded', b: 'succeeded', c: 'succeeded' });
    expect(order.slice(0, 2).sort()).toEqual(['a', 'b']);
    expect(order[2]).toBe('c');
  });

  it('after one that failed are skipped', async () => {
    const { report } = await run({ steps: [step('a'), step('b')] }, { a: [{ exit: 1 }] });

    expect(report).toEqual({ job: 'failed', a: 'failed', b: 'skipped' });
  });

  it('after one that failed run where the plan says so, and the job has failed all the same', async () => {
    const steps = [step('a'), step('b')];
    const { report } = await run({ steps, on_failure: 'continue' }, { a: [{ exit: 1 }] });

    expect(report).toEqual({ job: 'failed', a: 'failed', b: 'succeeded' });
  });

  it('that serve others are stopped when these have ended, and have succeeded', async () => {
    const steps = [
      step('server', { group: 'g', stops_with: ['client'] }),
      step('client', { group: 'g', depends_on: ['server'] }),
    ];
    const { report, calls } = await run({ steps }, { server: [{}] });

    expect(report).toEqual({ job: 'succeeded', server: 'succeeded', client: 'succeeded' });
    expect(calls).toContain('stop gpuaas-job-1.server 5');
    expect(calls.indexOf('start gpuaas-job-1.server')).toBeLessThan(calls.indexOf('start gpuaas-job-1.client'));
  });

  it('see what others have brought out', async () => {
    const result = { ref: 'step_result', step: 'a', name: 'loss' } as const;
    const steps = [
      step('a', { results: [{ name: 'loss', regex: 'loss=([0-9.]+)', channels: ['stdout'] }] }),
      step('b', { command: { items: ['echo', result], omit_if_empty: false } }),
    ];
    const { requests, job } = await run({ steps }, { a: [{ exit: 0, says: ['begin', 'loss=0.25'] }] });

    expect(job.record.steps['a']?.results).toEqual({ loss: ['0.25'] });
    expect(requests[1]?.Cmd).toEqual(['echo', '0.25']);
  });

  it('that need what nobody has brought out fail by its name, and are not started', async () => {
    const result = { ref: 'step_result', step: 'a', name: 'loss' } as const;
    const steps = [
      step('a', { results: [{ name: 'loss', regex: 'loss=([0-9.]+)', channels: ['stdout'] }] }),
      step('b', { command: { items: ['echo', result], omit_if_empty: false } }),
    ];
    const { report, job, calls } = await run({ steps }, {});

    expect(report).toMatchObject({ job: 'failed', a: 'succeeded', b: 'failed' });
    expect(job.record.failure).toMatchObject({
      code: 'step.unresolved',
      detail: { reference: 'steps.a.results.loss' },
    });
    expect(calls).not.toContain('create gpuaas-job-1.b');
  });

  it('publish their ports where nobody listens, and others learn where', async () => {
    const expose = [{ kind: 'port' as const, port: 8080, protocol: 'http' as const, checks: [] }];
    const endpoint = { ref: 'step_endpoint', step: 'a', port: 8080 } as const;
    const steps = [
      step('a', { expose }),
      step('b', { command: { items: [{ join: ['at ', endpoint] }], omit_if_empty: false } }),
    ];
    const { requests } = await run({ steps }, {});
    const port = requests[0]?.HostConfig.PortBindings['8080/tcp']?.[0]?.HostPort;

    expect(Number(port)).toBeGreaterThan(1024);
    expect(requests[1]?.Cmd).toEqual([`at 127.0.0.1:${port}`]);
  });

  it('are told of as endpoints from the start of their container to its end', async () => {
    const expose = [{ kind: 'port' as const, port: 8080, protocol: 'http' as const, checks: [] }];
    const { reports } = await run({ steps: [step('a', { expose })] }, {});

    const told = reports.filter(({ endpoints }) => endpoints.length > 0).map(({ report }) => report.steps[0]);
    expect(told).not.toEqual([]);
    expect(told.filter((each) => each?.state !== 'running' || each.container_id === null)).toEqual([]);
  });
});

describe('a job that is to end', () => {
  it('by a wish of somebody stops what runs, and begins nothing more', async () => {
    const { report, job, calls } = await run(
      { steps: [step('a'), step('b')] },
      { a: [{}] },
      (_, { running }) => void running.cancel('job-1', new AbortController().signal),
    );

    expect(report).toEqual({ job: 'cancelled', a: 'cancelled', b: 'cancelled' });
    expect(job.record.failure).toMatchObject({ code: 'job.cancelled' });
    expect(calls).toContain('stop gpuaas-job-1.a 5');
    expect(calls).toContain('remove gpuaas-job-1.a');
  });
});

describe('what runs before the steps', () => {
  it('runs one after another, and the steps after it', async () => {
    const { calls } = await run({ checks: [runOnce('look')], init: [runOnce('fill')] }, {});

    expect(calls.filter((call) => call.startsWith('start'))).toEqual([
      'start gpuaas-job-1.look',
      'start gpuaas-job-1.fill',
      'start gpuaas-job-1.one',
    ]);
  });

  it('fails the job before a step was begun, and says in which phase (X-19)', async () => {
    const { report, job } = await run({ checks: [runOnce('look')] }, { look: [{ exit: 1 }] });

    expect(report).toEqual({ job: 'failed', one: 'skipped' });
    expect(job.record.failure).toMatchObject({ code: 'preflight.failed', detail: { phase: 'check', step: 'look' } });
  });

  it('tells what every check has come to, apart from what a step says (C-21, X-19)', async () => {
    const checks = [runOnce('fine'), { ...runOnce('bad'), label: 'numpy import' }, runOnce('later')];
    const { job } = await run(
      { checks },
      { fine: [{ exit: 0, says: ['ok'] }], bad: [{ exit: 1, says: ['no numpy'] }] },
    );

    const { checks: told } = boundedReport(job);
    expect(told).toMatchObject([
      { kind: 'command', id: 'fine', label: null, state: 'passed', reason: null, output: 'ok' },
      { kind: 'command', id: 'bad', label: 'numpy import', state: 'failed', output: 'no numpy' },
      { kind: 'command', id: 'later', state: 'skipped', duration_ms: null, output: null },
    ]);
    expect(told?.[1]).toMatchObject({ reason: expect.stringContaining('1'), duration_ms: expect.any(Number) });
    expect(job.record.failure?.message).toContain('numpy import');
  });

  it('says in which phase a step has failed (X-19)', async () => {
    const { job } = await run({}, { one: [{ exit: 1 }] });

    expect(job.record.failure).toMatchObject({ code: 'step.failed', detail: { phase: 'step' } });
  });

  const look = (type: 'executable' | 'file', name: string) => ({ type, name, image: 'main', work_dir: '/w' });
  const file = { kind: 'file', executable: false } as const;
  const program = { kind: 'file', executable: true } as const;
  const folder = { kind: 'folder', executable: true } as const;

  it.each<[string, ReturnType<typeof look>, Record<string, PathFacts>, string | null]>([
    ['a program on PATH', look('executable', 'python'), { '/usr/bin/python': program }, null],
    ['a program by its path', look('executable', 'bin/run'), { '/w/bin/run': program }, null],
    [
      'a program that only PATH has, by a path',
      look('executable', './python'),
      { '/usr/bin/python': program },
      '/w/python',
    ],
    ['a program that nobody may execute', look('executable', 'python'), { '/usr/bin/python': file }, 'executed'],
    [
      'one that may be executed, behind one that may not',
      look('executable', 'python'),
      { '/opt/venv/bin/python': file, '/usr/bin/python': program },
      null,
    ],
    ['a program that is a folder', look('executable', '/usr/bin/x'), { '/usr/bin/x': folder }, 'folder'],
    ['no program', look('executable', 'python'), {}, 'PATH, /opt/venv/bin:/usr/bin'],
    ['a file', look('file', 'job.py'), { '/w/job.py': file }, null],
    ['a file above', look('file', '../a'), { '/a': file }, null],
    ['no file', look('file', 'job.py'), {}, '/w/job.py'],
    ['a folder that was to be a file', look('file', 'job.py'), { '/w/job.py': folder }, 'folder'],
  ])('looks for %s (C-18, C-19)', async (_what, item, there, reason) => {
    const { engine, paths, calls } = jobEngine({});
    for (const [path, facts] of Object.entries(there)) paths.set(path, facts);
    const { context } = taskContext(engine);

    const { job } = await runJob(plan({ preflight: [item] }), context);

    const [told] = boundedReport(job).checks ?? [];
    const { name: id, type: kind } = item;
    const state = reason === null ? 'passed' : 'failed';
    expect(told).toMatchObject({ kind, id, state, output: null, duration_ms: expect.any(Number) });
    expect(told?.reason ?? '').toContain(reason ?? '');
    expect(told?.reason === null).toBe(reason === null);
    expect(calls).toContain('remove gpuaas-job-1.look-0');
    expect(calls).not.toContain('start gpuaas-job-1.look-0');
    expect(calls.includes('start gpuaas-job-1.one')).toBe(reason === null);
  });

  it('looks into an image once for what is there, and each time for what is not', async () => {
    const { engine, paths, calls } = jobEngine({});
    paths.set('/w/job.py', file);
    const { context } = taskContext(engine);
    const checksOf = async (id: string, ...names: string[]) => {
      const preflight = names.map((name) => look('file', name));
      const { job } = await runJob(plan({ identity: { ...plan().identity, job_id: id }, preflight }), context);
      return boundedReport(job).checks?.map((check) => `${check.id} ${check.state}`);
    };

    expect(await checksOf('job-1', 'job.py', 'later')).toEqual(['job.py passed', 'later failed']);
    expect(await checksOf('job-2', 'job.py')).toEqual(['job.py passed']);
    paths.set('/w/later', file);
    expect(await checksOf('job-3', 'later', 'job.py')).toEqual(['later passed', 'job.py passed']);

    expect(calls.filter((call) => /^(create|statPath) .*look/.test(call))).toEqual([
      'create gpuaas-job-1.look-0',
      'statPath gpuaas-job-1.look-0 /w/job.py',
      'statPath gpuaas-job-1.look-0 /w/later',
      'create gpuaas-job-3.look-0',
      'statPath gpuaas-job-3.look-0 /w/later',
    ]);
  });

  it('names all that an image lacks, and starts nothing: no service either (C-17)', async () => {
    const preflight = [look('executable', 'uv'), look('file', 'there'), look('file', 'job.py')];
    const { engine, paths, calls } = jobEngine({ db: [{}] });
    paths.set('/w/there', file);
    const { context, events } = taskContext(engine);

    const { job } = await runJob(plan({ preflight, services: [service('db')] }), context);

    const { code, detail, message } = job.record.failure ?? {};
    expect(code).toBe('preflight.failed');
    expect(detail).toMatchObject({ phase: 'check', check: 'uv', kind: 'executable' });
    expect(message).toMatch(/the program uv .*; the file job\.py /);
    expect(calls.filter((call) => call.startsWith('start'))).toEqual([]);
    expect(boundedReport(job).checks?.map(({ state }) => state)).toEqual(['failed', 'passed', 'failed']);
    expect(events.map(({ type }) => type)).toContain('preflight.failed');
  });

  it('services are ready before, and stopped after', async () => {
    const { report, calls } = await run({ services: [service('db')] }, { db: [{}] });

    expect(report).toEqual({ job: 'succeeded', one: 'succeeded' });
    expect(calls.filter((call) => /^(start|stop)/.test(call))).toEqual([
      'start gpuaas-job-1.db',
      'start gpuaas-job-1.one',
      'stop gpuaas-job-1.db 5',
    ]);
  });

  it('a step is told how services stand when it is made: those that it shares, and one that has done its work', async () => {
    const [over, records] = [Promise.withResolvers<void>(), memoryRecords()];
    const state = (id: string) => ({ join: [{ ref: 'service_state' as const, service: id }] });
    const env = { values: { DB: state('db'), MODEL: state('model') }, merge: [] };
    const { report, requests } = await run(
      {
        caches: [{ name: 'kept', revision_sha256: 'a'.repeat(64), class: 'data', seed_from_image: false }],
        services: [service('db'), { ...service('model'), scope: 'project' }],
        init: [runOnce('a')],
        steps: [step('one', { env })],
      },
      { db: [{}], model: [{}], a: [{ exit: 0, after: over.promise }] },
      (engine) => {
        if (engine.containers.has('gpuaas-job-1.one')) return;
        engine.end('gpuaas-job-1.db', 0);
        const stateOf = () => records.get('job-1')?.record.steps['db']?.state;
        expect.poll(stateOf).toBe('succeeded').then(over.resolve, over.reject);
      },
      { records },
    );

    expect(report).toEqual({ job: 'succeeded', one: 'succeeded' });
    expect(requests.at(-1)?.Env).toEqual(expect.arrayContaining(['DB=ended', 'MODEL=ready']));
  });

  it('a service that ends while the job runs fails it', async () => {
    const over = Promise.withResolvers<void>();
    const { report, job } = await run(
      { services: [service('db')] },
      { db: [{ exit: 2, after: over.promise }], one: [{}] },
      () => over.resolve(),
    );

    expect(report).toMatchObject({ job: 'failed' });
    expect(job.record.failure).toMatchObject({ detail: { service: 'db' } });
  });
});

const runOnce = (id: string): JobPlan['checks'][number] => {
  const { image, command = words(), env, mounts, resources } = step(id);
  return { id, image, command, env, mounts, resources, timeout_seconds: 60 };
};
type Means = ReturnType<typeof taskContext>['context']['jobs'];

/** `meanwhile` is called when the first step runs. */
/** A host on which nothing is at any path. */
const noOutputs: JobOutputs = {
  take: async () => undefined,
  takeLog: async () => await Promise.reject(new Error('no log is kept here')),
  of: () => [],
  handedOver: async () => true,
  forget: async () => undefined,
};

async function run(
  over: Partial<JobPlan>,
  scripts: Record<string, Script>,
  meanwhile: (engine: JobEngine, means: Means) => void = () => undefined,
  own: Partial<Means> = {},
  engineOver: Parameters<typeof jobEngine>[1] = {},
) {
  const engine = jobEngine(scripts, engineOver);
  const { context, events } = taskContext(engine.engine);
  const emit: typeof context.emit = (type, message, values) => {
    context.emit(type, message, values);
    if (type === 'step.started' && ['one', 'a'].includes(String(values?.['step']))) {
      queueMicrotask(() => meanwhile(engine, context.jobs));
    }
  };
  const reports: RecordBody<'job.report'>[] = [];
  const signed: ReceiptFacts[] = [];
  const sign = (facts: ReceiptFacts) => {
    signed.push(facts);
    return null;
  };
  const records = toldRecords((body) => void reports.push(body));
  const jobs: Means = { ...context.jobs, records, receipts: { sign }, ...own };
  const { job, cleanup } = await runJob(plan(over), { ...context, emit, jobs });
  const states = job.plan.steps.map(({ id }) => [id, job.record.steps[id]?.state]);
  const report = { job: job.record.state, ...Object.fromEntries(states) };
  return { ...engine, job, cleanup, report, reports, signed, events };
}
