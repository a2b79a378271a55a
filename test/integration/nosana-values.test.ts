/** Values of a Nosana job that are known only while it runs (research: literals, results). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type NosanaGround, openNosanaGround } from '../support/nosana-ground.ts';
import { definition, op, shared, untilThere, volumeOp } from '../support/nosana-jobs.ts';

let ground: NosanaGround;
beforeAll(async () => {
  ground = await openNosanaGround();
});
afterAll(async () => await ground?.close());

const show = (text: string) => ['printf', '<%s>\\n', ...text.split(' ')];

describe.concurrent('literals', () => {
  it('are what an op before has brought out, wherever they stand: lists word by word in lists, with spaces in texts', async () => {
    const job = await ground.run(
      definition(
        [
          op('first', 'echo word=one; echo word=two; echo folder=/tmp; echo json={\\"k\\": [\\"a b\\", 2]}', {
            results: { word: 'word=(\\w+)', folder: 'folder=(.+)', json: 'json=(.+)' },
          }),
          op('list', show('%%ops.first.results.word%% %%ops.first.results.json.k%% %%global.variables.many%% end')),
          op('text', 'echo "[%%ops.first.results.word%%]%%ops.first.results.folder%%%%global.variables.one%%"; pwd', {
            work_dir: '%%ops.first.results.folder%%',
          }),
          op('env', 'echo "$WORDS|$MIXED|$JOB|$HOST|$PROJECT"', {
            env: {
              ...{
                WORDS: '%%ops.first.results.word%%',
                MIXED: 'a%%ops.first.results.json.k.1%%%%global.variables.one%%z',
              },
              ...{ JOB: '%%global.job%%', HOST: '%%global.host%%', PROJECT: '%%global.project%%' },
            },
          }),
        ],
        { variables: { one: '1', many: '["x","y z"]' } },
      ),
    );

    expect(job.result).toMatchObject({ status: 'succeeded', failure: null });
    expect(job.said('list')).toEqual(['<one>', '<two>', '<a b>', '<2>', '<x>', '<y z>', '<end>']);
    expect(job.said('text')).toEqual(['[one two]/tmp1', '/tmp']);
    expect(job.said('env')).toEqual([`one two|a21z|${job.id}|test-node|project-1`]);
  });

  it('spread variables and entries that are JSON, and leave out what is empty', async () => {
    const job = await ground.run(
      definition([
        op(
          'first',
          'echo json={\\"A\\": \\"1\\", \\"B\\": 2}; echo pairs=[{\\"key\\": \\"C\\", \\"value\\": \\"3\\"}]',
          {
            results: { json: 'json=(.+)', pairs: 'pairs=(.+)' },
          },
        ),
        op('object', 'echo $A$B$OWN', { env: { OWN: 'own', __spread__: '%%ops.first.results.json%%' } }),
        op('pairs', 'echo $C', { env: { __pairs__: '%%ops.first.results.pairs%%' } }),
        // Without its only word the list counts as absent, and the image's own `sh` runs.
        op('absent', ['__remove-if-empty__']),
      ]),
    );

    expect(job.result).toMatchObject({ status: 'succeeded', failure: null });
    expect([job.said('object'), job.said('pairs'), job.said('absent')]).toEqual([['12own'], ['3'], []]);
  });

  it('name where an op is reached by others of the job, and where on the host', async () => {
    const execution = { group: 'g', depends_on: ['server'] };
    const job = await ground.run(
      definition([
        volumeOp('shared'),
        op('server', `mkdir /www; echo hello > /www/index.html; httpd -p 8080 -h /www; ${untilThere('/v/done')}`, {
          ...{ ...shared, execution: { group: 'g' }, expose: 8080, aliases: 'files, other.name' },
        }),
        op(
          'client',
          'wget -qO- http://%%ops.server.host%%:8080; wget -qO- http://files:8080; wget -qO- http://other.name:8080; echo $AT; touch /v/done',
          {
            ...{ ...shared, execution, env: { AT: '%%ops.server.endpoint.8080%%' } },
          },
        ),
      ]),
    );

    expect(job.result).toMatchObject({ status: 'succeeded', failure: null });
    expect(job.said('client')).toEqual(['hello', 'hello', 'hello', expect.stringMatching(/^127\.0\.0\.1:\d+$/)]);
  });

  it('publish the ports that an op before has named: a number, a range, a list', async () => {
    const execution = { group: 'servers' };
    const waiting = untilThere('/v/never');
    const job = await ground.begin(
      definition([
        op('first', 'echo number=8080; echo range=9000-9001; echo list=[7000,7001]', {
          results: { number: 'number=(.+)', range: 'range=(.+)', list: 'list=(.+)' },
        }),
        op('number', waiting, { execution, expose: '%%ops.first.results.number%%' }),
        op('range', waiting, { execution, expose: { port: '%%ops.first.results.range%%' } }),
        op('list', waiting, { execution, expose: [{ __spread__: '%%ops.first.results.list%%' }] }),
      ]),
    );

    const { endpoints } = await job.reported(({ endpoints: all }) => all.length === 5);
    await job.cancel();

    expect(endpoints.map(({ step, container_port }) => `${step} ${container_port}`).sort()).toEqual([
      ...['list 7000', 'list 7001', 'number 8080', 'range 9000', 'range 9001'],
    ]);
    expect((await job.ended).report.state).toBe('cancelled');
  });

  it.each([
    ['cmd', { cmd: ['echo', '%%ops.first.results.none%%'] }],
    ['a text', { cmd: 'echo %%ops.first.results.none%%' }],
    ['env', { cmd: 'true', env: { X: '%%ops.first.results.none%%' } }],
    ['expose', { cmd: 'true', expose: '%%ops.first.results.none%%' }],
  ])('that are not known fail the op before it starts, by name: in %s', async (_, { cmd, ...args }) => {
    const job = await ground.run(
      definition([
        op('first', 'true', { results: { none: 'never (.+)' } }),
        op('second', cmd, args),
        op('third', 'true'),
      ]),
    );

    expect(job.result).toMatchObject({ status: 'failed', failure: { code: 'step.unresolved' } });
    expect(job.step('second')).toMatchObject({
      ...{ state: 'failed', started_at: null, container_id: null },
      failure: { code: 'step.unresolved', detail: { reference: 'steps.first.results.none' } },
    });
    expect(job.step('third').state).toBe('skipped');
  });
});

describe.concurrent('results', () => {
  it('are all groups of all matches, on the streams that were chosen', async () => {
    const log = (...logType: ('stdout' | 'stderr' | 'nodeerr')[]) => ({ regex: 'is (\\w)(\\w)', logType });
    const job = await ground.run(
      definition([
        op('talks', 'echo a is 12 is 34; echo b is 56 >&2; printf "no end is 78"', {
          results: {
            ...{ out: log('stdout'), err: log('stderr'), both: log('stdout', 'stderr'), nowhere: log('nodeerr') },
            ...{ whole: 'no end', none: 'never' },
          },
        }),
      ]),
    );

    const { both, ...results } = job.step('talks').results;
    expect(results).toEqual({
      ...{ said: ['a is 12 is 34', 'b is 56', 'no end is 78'].map(() => expect.any(String)), whole: ['no end'] },
      ...{ out: ['1', '2', '3', '4', '7', '8'], err: ['5', '6'] },
    });
    expect([...(both ?? [])].sort()).toEqual(['1', '2', '3', '4', '5', '6', '7', '8']);
  });

  it('of a burst are complete and in order', async () => {
    const job = await ground.run(
      definition([
        op('burst', 'i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done', {
          results: { said: 'none of it', marks: 'line (\\d*00)$' },
        }),
      ]),
    );

    const marks = Array.from({ length: 199 }, (_, index) => String((index + 1) * 100));
    expect(job.step('burst').results).toEqual({ marks });
  });
});
