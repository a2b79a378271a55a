/** What a push accepts is built: its judgement against that of the gate, with all that lies between the two. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BuildImage } from '../../../../src/contract/job-build.ts';
import { BuildContext } from '../../../../src/gate/build-context.ts';
import { buildContext } from '../../../../src/jobs/build-context.ts';
import { openTarball } from '../../../../src/kit/tarball/open-tarball.ts';
import type { ProjectManifest } from '../../../../src/manifests/computalot/manifest.ts';
import { planOf } from '../../../../src/manifests/computalot/to-plan.ts';
import { sketchWish } from '../../../../src/manifests/sketch-wish.ts';
import { checkDockerfile, checkLabels, checkValues } from '../../../../src/policy/check-dockerfile.ts';
import { judgeFiles } from '../../../../src/server/revisions/judge-files.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { tarOf } from '../../kit/tarball/tar-bytes.ts';

const folder = temporaryFolder('push-and-gate');
const pinned = `registry.example/x@sha256:${'a'.repeat(64)}`;
const registries = [{ host: 'registry.example', prefixes: [''] }];

interface Init {
  readonly command: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}
interface Project {
  readonly Dockerfile: string;
  readonly commands: readonly Init[];
  readonly workdir?: string;
  /** What its image sets. */
  readonly env?: readonly string[];
}

/** What a push says, or what the gate says of what was accepted. */
async function judge({ Dockerfile, commands, workdir = '/app', env = [] }: Project) {
  const file = join(folder, 'revision.tar');
  writeFileSync(file, tarOf({ name: 'Dockerfile', content: Dockerfile }));
  const manifest = {
    ...{ version: 1, entrypoint: { command: ['true'] } },
    runtime: { kind: 'oci', sandbox: 'gvisor', workdir, init: { commands } },
  };
  const { errors, bases: names } = await judgeFiles(await openTarball({ file, spool: `${file}.tar` }), manifest);
  if (errors.length > 0) return { push: errors.map(({ path, code }) => `${path} ${code}`) };
  const bases = Object.fromEntries(names.map((name) => [name, pinned]));
  const build = { revision_sha256: '0'.repeat(64), revision_bytes: 1, bases };
  const { plan } = planOf(manifest as unknown as ProjectManifest, { ...sketchWish('computalot'), build });
  const { stream } = await buildContext(file, plan.images[0]?.source as BuildImage, async () => env);
  const text = await new BuildContext(stream.iterator({ destroyOnReturn: false }), 2 ** 30).dockerfile();
  stream.destroy();
  const checked = checkDockerfile(text, registries);
  return { gate: [...checked.errors, ...checkValues(text, env), ...checkLabels(text, env, 2048)], text };
}

const long = (char: string, length: number) => char.repeat(length);
const from = 'FROM a:1 AS b\n';

describe('the judgement of a push', () => {
  it('is no other than that of the gate: what it accepts is taken there, whatever is in it (C-23, C-25)', async () => {
    const word = fc.constantFrom(
      ...['x', '', '\\', '"', '$X', ' <<E', '<<E', 'x = 1<<20', 'cat > f <<EOF\nx\nEOF', 'é\u2028\ud800', '--flag'],
      ...['["a"]', long('w', 30_000), long('"', 17_000)],
    );
    const value = fc.constantFrom(
      ...['', '$A', '"\\$', `\${A:-b}`, '<<E', 'a b', '\u0085', long('v', 16_000), long('v', 32_000), long('$', 9000)],
      long('é', 32_000),
    );
    const command = fc.record(
      {
        command: fc.array(word, { minLength: 1, maxLength: 4 }),
        cwd: fc.constantFrom('.', 'a/./b/', '$X', 'a "b"', '["x"]', 'a\u00a0'),
        env: fc.dictionary(fc.constantFrom('PATH', 'LANG', 'ONE', 'TWO', 'THREE', 'X'), value, { maxKeys: 5 }),
      },
      { requiredKeys: ['command'] },
    );
    const keyword = fc.constantFrom('RUN ', 'COPY ', 'ADD ', 'ENV ', 'ARG ', 'LABEL ', 'WORKDIR ', 'VOLUME ', 'FROM b');
    const piece = fc.constantFrom(
      ...['x', ' y', '=', '"', "'", '\\', '$X', `\${X:-y}`, ' <<E', '1<<2', '[', ']', '["a", " <<E"]', '"a"', ', '],
      ...['\\\n', '#c\n', '\t', '\u00a0', '\u3000', 'é', '--', '-', ' ', '--from=b ', '--from=0', '--chown=1:1 '],
      ...[' AS c', '.', '/', 'gpuaas.x=1', '$PATH', '\\u0041', long('l', 20_000), `A=${long('v', 30_000)} `],
    );
    const usual = fc.constantFrom(
      ...['RUN ["a", " <<E"]', 'COPY --from=b x y', 'ADD --chown=1 x y', 'ENV A=b', `ENV A=${long('v', 30_000)}`],
      ...['WORKDIR $PATH', 'FROM b', `LABEL a=${long('l', 9000)}`, 'RUN echo "1<<2"', 'ARG X'],
    );
    const strange = fc.tuple(keyword, fc.array(piece, { maxLength: 5 })).map(([begin, rest]) => begin + rest.join(''));
    const line = fc.oneof({ arbitrary: usual, weight: 4 }, { arbitrary: strange, weight: 1 });
    const project = fc.record({
      Dockerfile: fc.array(line, { maxLength: 3 }).map((lines) => `${from}${lines.join('\n')}`),
      commands: fc.array(command, { maxLength: 4 }),
      workdir: fc.constantFrom('/app', '/', '/a $b "c"'),
      env: fc.constantFrom([], ['PATH=/usr/bin:$HOME"q\\'], [`PATH=${long('p', 900)}`, 'LANG=C', 'ONE=a "$b" \\']),
    });
    let taken = 0;

    await fc.assert(
      fc.asyncProperty(project, async (given) => {
        const { gate } = await judge(given);
        if (gate) taken += 1;
        expect(gate ?? []).toEqual([]);
      }),
      { numRuns: 100 },
    );

    expect(taken).toBeGreaterThan(5);
  });

  it.each<[string, readonly string[]]>([
    ['an operator of a language', ['python3', '-c', 'x = 1<<20']],
    ['what a shell of its own takes for a here-document', ['sh', '-c', 'cat > f <<EOF\nx\nEOF']],
  ])('takes init commands with %s, as the gate does (C-23)', async (_, command) => {
    const { gate, text } = await judge({ Dockerfile: from, commands: [{ command }] });

    expect(gate).toEqual([]);
    expect(text).toContain(`\nRUN ${JSON.stringify(command)}\n`);
  });

  const five = Object.fromEntries(['A', 'B', 'C', 'D', 'E'].map((name) => [name, long('x', 32_000)]));
  it.each<[string, Init, string[]]>([
    ['values that are too long together', { command: ['true'], env: five }, ['/env/D value', '/env/E value']],
    ['a value with a $ that is too long', { command: ['true'], env: { A: long('$', 9000) } }, ['/env/A value']],
    ['a value of too many bytes', { command: ['true'], env: { A: long('é', 32_768) } }, ['/env/A too_long']],
    ['words of too many bytes together', { command: Array(3).fill(long('x', 30_000)) }, ['/command too_long']],
  ])('is told where an init command has %s (C-25)', async (_, command, told) => {
    const commands = [{ command: ['true'] }, command];

    expect(await judge({ Dockerfile: from, commands })).toEqual({
      push: told.map((each) => `/runtime/init/commands/1${each}`),
    });
    // Nobody can read its Dockerfile: both are told.
    expect((await judge({ Dockerfile: `${from}FOO`, commands })).push).toHaveLength(1 + told.length + 1);
  });

  it('is told where everything together is more than a Dockerfile may be', async () => {
    const commands = Array.from({ length: 32 }, () => ({ command: [long('x', 32_000)] }));

    const { push } = await judge({ Dockerfile: from, commands });

    expect(push).toEqual(['/runtime/init/commands/30/command too_large']);
  });

  it.each([
    ['a stage without files of it', 'COPY --from=b'],
    ['an owner without files', 'ADD --chown=1'],
    ['two owners', 'COPY --chown=1 --chown=2 a b'],
    ['a file that looks like a flag', 'COPY -x /y'],
    ['nothing', 'ADD \\'],
    ['a backslash before a space that is none to a builder', 'ADD \\\u00a0'],
    ['no place for a file', 'COPY a'],
    ['a line that no builder reads', `RUN ${long('x', 65_536)}`],
  ])('refuses by its line what no host builds: %s', async (_, line) => {
    expect((await judge({ Dockerfile: `${from}${line}`, commands: [] })).push).toContainEqual(
      expect.stringMatching(/^\/build\/dockerfile /),
    );
  });
});
