/** How ops and jobs end (research: timeouts, failed op, result): each way is told apart, and nothing stays on the engine. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type NosanaGround, openNosanaGround } from '../support/nosana-ground.ts';
import { definition, op, shared, untilThere, volumeOp } from '../support/nosana-jobs.ts';
import { endsForItsMemory } from '../support/test-host.ts';

let ground: NosanaGround;
beforeAll(async () => {
  ground = await openNosanaGround();
});
afterAll(async () => await ground?.close());

describe.concurrent('an op', () => {
  it('tells exit codes, signals and memory apart', async () => {
    const execution = { group: 'g' };
    const job = await ground.run(
      definition([
        op('code', 'exit 7', { execution }),
        op('high-code', 'exit 200', { execution }),
        op('signal', 'kill -KILL $$', { execution }),
        op('memory', endsForItsMemory, { execution }),
      ]),
    );

    const ends = job.report.steps.map(({ id, exit_code, signal, oom_killed, failure }) => [
      ...[id, exit_code, signal, oom_killed, failure?.code],
    ]);
    expect(ends).toEqual([
      ['code', 7, null, false, 'step.failed'],
      ['high-code', 200, null, false, 'step.failed'],
      ['signal', null, 'SIGKILL', false, 'step.failed'],
      ['memory', null, 'SIGKILL', true, 'container.oom_killed'],
    ]);
    expect(job.result.status).toBe('failed');
  });

  it('is timed out by its own limit, and what it has said by then counts', async () => {
    const job = await ground.run(
      definition([op('slow', 'echo began; sleep 1000', { execution: { timeout: 1 } }), op('later', 'true')]),
    );

    expect(job.result).toMatchObject({
      status: 'failed',
      failure: { code: 'step.timed_out', detail: { step: 'slow' } },
    });
    expect(job.states()).toEqual({ slow: 'timed_out', later: 'skipped' });
    expect(job.said('slow')).toEqual(['began']);
  });

  it('is started again as its restart policy says', async () => {
    const execution = { group: 'g' };
    const tries = 'echo try; [ -e /v/tried ] || { touch /v/tried; exit 1; }';
    const job = await ground.run(
      definition([
        volumeOp('shared'),
        op('never', 'exit 1', { execution, restart_policy: 'no' }),
        op('gives-up', 'exit 1', { execution, restart_policy: { policy: 'on-failure', restart_tries: 1 } }),
        op('on-failure', tries, { ...{ ...shared, execution }, restart_policy: 'on-failure' }),
      ]),
    );

    expect(job.report.steps.map(({ id, attempts, state }) => [id, attempts, state])).toEqual([
      ['never', 1, 'failed'],
      ['gives-up', 2, 'failed'],
      ['on-failure', 2, 'succeeded'],
    ]);
    expect(job.said('on-failure')).toEqual(['try', 'try']);
  });

  it('that is always started again runs until the job is ended', async () => {
    const job = await ground.begin(definition([op('again', 'true', { restart_policy: 'always' })]));
    await job.reported(({ report }) => (report.steps[0]?.attempts ?? 0) > 1);
    await job.cancel();

    expect((await job.ended).states()).toEqual({ again: 'cancelled' });
  });
});

describe.concurrent('a job', () => {
  it('expires with its deadline, and its ops are ended', async () => {
    const job = await ground.run(definition([op('slow', 'sleep 1000'), op('later', 'true')]), { deadline_seconds: 2 });

    expect(job.result).toMatchObject({ status: 'failed', failure: { code: 'job.expired' } });
    expect(job.report.state).toBe('expired');
    expect(job.step('later').started_at).toBeNull();
  });

  it('that is cancelled lets its ops end by themselves, and starts no other', async () => {
    const execution = { group: 'g' };
    const polite = 'trap "echo bye; exit 0" TERM; echo ready; while :; do sleep 0.05; done';
    const job = await ground.begin(
      definition([
        volumeOp('shared'),
        op('polite', polite, { execution, results: { ready: 'ready' } }),
        op('other', untilThere('/v/never'), { ...shared, execution }),
        op('later', 'echo later'),
      ]),
    );
    await Promise.all([job.running('polite'), job.running('other')]);
    const [first, second] = await Promise.all([job.cancel(), job.cancel()]);
    const ended = await job.ended;

    expect(first).toMatchObject({ status: 'succeeded', output: { state: 'cancelled' } });
    expect(second.output).toMatchObject({ state: 'cancelled' });
    expect(ended.result).toMatchObject({ status: 'cancelled', failure: { code: 'job.cancelled' } });
    expect(ended.states()).toEqual({ polite: 'cancelled', other: 'cancelled', later: 'cancelled' });
    expect(ended.step('later').started_at).toBeNull();
    expect(await job.cancel()).toMatchObject({ status: 'succeeded', output: { report: ended.report } });
  });

  it('that is kept leaves its containers, and no network, until it is removed', async () => {
    const job = await ground.begin(definition([volumeOp('shared'), op('one', 'touch /v/x', shared)]), { keep: true });
    await job.ended;
    const { State, Mounts } = await job.container('one');

    expect(State.Status).toBe('exited');
    expect(Mounts.map(({ Name, Destination }) => [Name, Destination])).toEqual([[`gpuaas-${job.id}.shared`, '/v']]);
    expect(await job.remove()).toMatchObject({ status: 'succeeded' });
    expect(await job.remove()).toMatchObject({ status: 'succeeded', output: { state: null } });
    await expect(job.container('one')).rejects.toThrow('404');
  });
});
