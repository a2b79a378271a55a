/** In what order the ops of a Nosana job run, what they wait for, and what becomes of the others when one fails (research: order, depends_on, failed op). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type NosanaGround, openNosanaGround } from '../support/nosana-ground.ts';
import { definition, op, refusalsOf, shared, untilThere, volumeOp } from '../support/nosana-jobs.ts';

let ground: NosanaGround;
beforeAll(async () => {
  ground = await openNosanaGround();
});
afterAll(async () => await ground?.close());

/** Ops of a group that wait for each other would wait for good if they ran one after another. */
const meet = (own: string, other: string) => `touch /v/${own}; ${untilThere(`/v/${other}`)}; echo met`;

describe.concurrent('order', () => {
  it('runs groups one after another, in the order of their first op, and the ops of one side by side (N-5, N-21)', async () => {
    const first = { group: 'first', timeout: 60 };
    const job = await ground.run(
      definition([
        volumeOp('shared'),
        op('a', meet('a', 'b'), { ...shared, execution: first }),
        op('alone', 'ls /v; touch /v/alone', shared),
        op('b', `${meet('b', 'a')}; ls /v`, { ...shared, execution: first }),
        op('last', 'ls /v', shared),
      ]),
    );

    expect(job.result).toMatchObject({ status: 'succeeded', failure: null });
    expect([job.said('b'), job.said('alone'), job.said('last')]).toEqual([
      ['met', 'a', 'b'],
      ['a', 'b'],
      ['a', 'alone', 'b'],
    ]);
    const times = ['a', 'b', 'alone', 'last'].map((id) => job.step(id));
    expect(String(times[2]?.started_at) >= String(times[1]?.ended_at)).toBe(true);
    expect(times.map(({ state, attempts, exit_code }) => [state, attempts, exit_code])).toEqual(
      Array(4).fill(['succeeded', 1, 0]),
    );
  });

  it('starts an op once, when all that it depends on is ready: checks, an open port, a start', async () => {
    const group = { group: 'app', timeout: 60 };
    const job = await ground.run(
      definition([
        volumeOp('shared'),
        // The page that is asked for comes late; `app` would see that it is not there.
        op('checked', `mkdir /www; httpd -p 8080 -h /www; echo page > /www/ok; ${untilThere('/v/done')}`, {
          ...{ ...shared, execution: group },
          expose: {
            port: 8080,
            health_checks: [{ type: 'http', path: '/ok', method: 'GET', expected_status: 200 }],
          },
        }),
        op('open', `mkdir /www; echo other > /www/index.html; httpd -p 9000 -h /www; ${untilThere('/v/done')}`, {
          ...{ ...shared, execution: group, expose: 9000 },
        }),
        op('started', untilThere('/v/done'), { ...shared, execution: group }),
        op('app', 'echo run >> /v/runs; wget -qO- http://checked:8080/ok; wget -qO- http://open:9000; touch /v/done', {
          ...{ ...shared, execution: { ...group, depends_on: ['checked', 'open', 'started'] } },
        }),
        op('after', 'cat /v/runs', shared),
      ]),
    );

    expect(job.states()).toEqual({
      ...{ checked: 'succeeded', open: 'succeeded', started: 'succeeded', app: 'succeeded', after: 'succeeded' },
    });
    expect(job.said('app')).toEqual(['page', 'other']);
    expect(job.said('after')).toEqual(['run']);
  });

  it('starts an op that serves others before them, and stops it when they have ended (stop_if_dependent_stops)', async () => {
    const job = await ground.run(
      definition([
        op('store', 'mkdir /www; echo kept > /www/index.html; httpd -f -p 8080 -h /www', {
          execution: { group: 'g', depends_on: ['one', 'two'], stop_if_dependent_stops: true },
          expose: 8080,
        }),
        op('one', 'wget -qO- http://store:8080', { execution: { group: 'g' } }),
        op('two', 'wget -qO- http://store:8080', { execution: { group: 'g' } }),
        op('after', 'true'),
      ]),
    );

    expect(job.states()).toEqual({ store: 'succeeded', one: 'succeeded', two: 'succeeded', after: 'succeeded' });
    expect([job.said('one'), job.said('two')]).toEqual([['kept'], ['kept']]);
  });

  it('refuses a circle, an op that waits for itself, for one of another group, or for none, before anything runs', () => {
    const in_g = (...depends_on: string[]) => ({ execution: { group: 'g', depends_on } });
    const ops = [op('a', 'true', in_g('b')), op('b', 'true', in_g('a'))];

    expect(refusalsOf(definition(ops))).toEqual(['/ops/0/execution/depends_on: cycle']);
    expect(
      refusalsOf(definition([op('a', 'true', in_g('a', 'b', 'c')), op('b', 'true', { execution: { group: 'h' } })])),
    ).toEqual([
      '/ops/0/execution/depends_on/0: cycle',
      '/ops/0/execution/depends_on/1: other_group',
      '/ops/0/execution/depends_on/2: unknown_op',
    ]);
  });
});

describe.concurrent('an op that fails in the middle', () => {
  const ops = [
    op('before', 'true'),
    op('good', 'echo good', { execution: { group: 'middle' } }),
    op('bad', 'exit 7', { execution: { group: 'middle' }, expose: 8080 }),
    op('needs-bad', 'echo never', { execution: { group: 'middle', depends_on: ['bad'] } }),
    op('later', 'echo later'),
  ];

  it('fails the job; later groups, and what depends on it, are skipped and recorded as that (N-21)', async () => {
    const job = await ground.run(definition(ops));

    expect(job.result).toMatchObject({ status: 'failed', failure: { code: 'step.failed', detail: { step: 'bad' } } });
    expect(job.report.state).toBe('failed');
    expect(job.step('bad')).toMatchObject({ state: 'failed', exit_code: 7, failure: { code: 'step.failed' } });
    expect(job.states()).toMatchObject({ before: 'succeeded', 'needs-bad': 'skipped', later: 'skipped' });
    expect(job.step('later')).toMatchObject({ attempts: 0, started_at: null, container_id: null });
  });

  it('runs later groups where the submission said so, and has failed all the same', async () => {
    const job = await ground.run(definition(ops), { on_failure: 'continue' });

    expect(job.result).toMatchObject({ status: 'failed', failure: { code: 'step.failed' } });
    expect(job.states()).toMatchObject({ bad: 'failed', 'needs-bad': 'skipped', later: 'succeeded' });
    expect(job.said('later')).toEqual(['later']);
  });
});
