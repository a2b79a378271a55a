/** What a Nosana op runs: its command, its entrypoint, and what holds for all ops (research: cmd, globals). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engineCall } from '../support/engine-call.ts';
import type { RawContainer } from '../support/looking.ts';
import { leftOf, type NosanaGround, openNosanaGround } from '../support/nosana-ground.ts';
import { definition, op } from '../support/nosana-jobs.ts';

let ground: NosanaGround;
beforeAll(async () => {
  ground = await openNosanaGround();
});
afterAll(async () => await ground?.close());

describe.concurrent('commands', () => {
  it('gives a text, and a list of one entry that is a whole line, to a shell, and any other list as it stands (N-24, N-30, N-31, N-32)', async () => {
    const env = { X: 'x y' };
    const job = await ground.run(
      definition([
        op('text', 'echo "$X" a  b | cat', { env }),
        op('one-line', ['echo "$X" a  b | cat'], { env }),
        op('words', ['echo', '$X', 'a  b', '| cat'], { env }),
        op('own-shell', ['/bin/sh', '-c', 'echo $X'], { env }),
        op('one-word', ['pwd'], { work_dir: '/tmp' }),
        op('which-sh', ['echo "[$BASH]"']),
        // Debian's image has bash.
        op('which-bash', ['basename "$BASH"'], { image: 'python' }),
      ]),
    );

    expect(job.result).toMatchObject({ status: 'succeeded', failure: null });
    expect(Object.fromEntries(job.report.steps.map(({ id }) => [id, job.said(id)]))).toEqual({
      ...{ text: ['x y a b'], 'one-line': ['x y a b'], words: ['$X a  b | cat'], 'own-shell': ['x y'] },
      ...{ 'one-word': ['/tmp'], 'which-sh': ['[]'], 'which-bash': ['bash'] },
    });
  });

  // `hostile` has an entrypoint and a command, `tiny` a command only.
  it.each([
    ['nothing', 'tiny', {}, {}],
    ['an empty list', 'tiny', { cmd: [] }, {}],
    ['a text', 'tiny', { cmd: 'echo a' }, { Cmd: ['/bin/sh', '-c', 'echo a'] }],
    ['a list', 'tiny', { cmd: ['echo', 'a b'] }, { Cmd: ['echo', 'a b'] }],
    ["a list for the image's entrypoint", 'hostile', { cmd: ['echo', 'a'] }, { Cmd: ['echo', 'a'] }],
    ["a text for the image's entrypoint", 'hostile', { cmd: 'echo a' }, { Cmd: ['/bin/sh', '-c', 'echo a'] }],
    [
      'an entrypoint alone: no command of the image',
      'hostile',
      { entrypoint: '/bin/true' },
      { Entrypoint: ['/bin/true'] },
    ],
    [
      'an entrypoint of several words',
      'hostile',
      { entrypoint: ['/bin/echo', 'a b'], cmd: ['c'] },
      { Entrypoint: ['/bin/echo', 'a b'], Cmd: ['c'] },
    ],
    [
      'an entrypoint with a text',
      'tiny',
      { entrypoint: '/bin/echo', cmd: 'a b' },
      { Entrypoint: ['/bin/echo'], Cmd: ['/bin/sh', '-c', 'a b'] },
    ],
  ])('%s is what the engine itself makes of it (N-14, N-34)', async (_, image, args, asDocker) => {
    const { host } = ground;
    const job = await ground.begin(definition([op('only', undefined, { ...args, image })]), { keep: true });
    await job.ended;
    const made = await engineCall<{ Id: string }>(host.engineSocket, 'POST', '/containers/create', {
      ...{
        Image: await host.image(image as 'tiny'),
        ...asDocker,
        Labels: { 'gpuaas.allocation': host.policy.allocation.id },
      },
    });

    const inspect = async (name: string) =>
      (
        await engineCall<RawContainer & { Path: string; Args: string[] }>(
          host.engineSocket,
          'GET',
          `/containers/${name}/json`,
        )
      ).body;
    const [ours, theirs] = await Promise.all([inspect(`gpuaas-${job.id}.only`), inspect(made.body.Id)]);
    expect([ours.Path, ours.Args]).toEqual([theirs.Path, theirs.Args]);
    expect(await job.remove()).toMatchObject({ status: 'succeeded' });
    expect(await leftOf(host, job.id)).toEqual([]);
  });
});

describe.concurrent('globals', () => {
  it('hold for every op that does not say otherwise, and the id of the job for all (N-12, N-14, N-15, N-16, N-17, N-29)', async () => {
    const show = ['-c', 'pwd; echo $A $B $NOSANA_ID'];
    const job = await ground.run(
      definition(
        [
          op('inherits', show, { image: '' }),
          op('overrides', ['-c', 'pwd; echo $A $B $NOSANA_ID; basename "$BASH"'], {
            ...{ image: 'python', entrypoint: ['/bin/bash'], work_dir: '/var' },
            env: { B: 'op', NOSANA_ID: 'mine' },
          }),
        ],
        { image: 'tiny', entrypoint: '/bin/sh', work_dir: '/tmp', env: { A: 'all', B: 'all' } },
      ),
    );

    expect(job.result).toMatchObject({ status: 'succeeded', failure: null });
    expect(job.said('inherits')).toEqual(['/tmp', `all all ${job.id}`]);
    expect(job.said('overrides')).toEqual(['/var', `all op ${job.id}`, 'bash']);
  });
});
