import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkDockerfile, checkLabels, checkValues } from '../../../src/policy/check-dockerfile.ts';
import {
  type DockerfileWish,
  initLabel,
  labelled,
  readDockerfile,
  renderDockerfile,
} from '../../../src/policy/dockerfile.ts';

const pin = (name: string) => `registry.example/${name}@sha256:${'a'.repeat(64)}`;
const registries = [{ host: 'registry.example', prefixes: [''] }];

function read(text: string, wish: DockerfileWish = {}) {
  const judged = readDockerfile(text, wish);
  if (!judged.ok) throw new Error(JSON.stringify(judged.errors));
  return judged.dockerfile;
}

function render(text: string, wish: DockerfileWish = {}, more: Partial<Parameters<typeof renderDockerfile>[1]> = {}) {
  const dockerfile = read(text, wish);
  const bases = Object.fromEntries(dockerfile.bases.map((name) => [name, pin(name.replace(/\W/g, '-'))]));
  return renderDockerfile(dockerfile, { bases, ...more });
}

function errorsOf(text: string, wish: DockerfileWish = {}) {
  const judged = readDockerfile(text, wish);
  return judged.ok ? [] : judged.errors.map(({ line, code }) => `${line} ${code}`);
}

function stagesInARow(count: number): string {
  return ['FROM scratch AS a0', ...Array.from({ length: count }, (_, index) => `FROM a${index} AS a${index + 1}`)].join(
    '\n',
  );
}

const growing = `ENV A=0123456789abcdef\n${'ENV A=$A$A\n'.repeat(20)}`;

function longValues(count: number): string {
  return Array.from({ length: count }, (_, index) => `ENV V${index}=${'v'.repeat(16_000)}`).join('\n');
}

const python = `# A usual one.
ARG PYTHON_VERSION=3.11
FROM python:\${PYTHON_VERSION}-slim AS base
ENV PIP_NO_CACHE_DIR=1 \\
    # between
    PYTHONUNBUFFERED=1

FROM base AS deps
ARG PYTHON_VERSION
WORKDIR /workspace
COPY requirements.txt .
RUN pip install \\
      -r requirements.txt

FROM busybox AS never
RUN exit 1

FROM base
COPY --from=deps --chown=1000:1000 /workspace /workspace
COPY --from=ghcr.io/astral-sh/uv:0.4 /uv /bin/uv
HEALTHCHECK CMD ["true"]
SHELL ["/bin/bash", "-c"]
USER 1000
add . /workspace
`;

describe('a Dockerfile', () => {
  it('is written anew with images by digest, stages by number and one instruction a line (C-14)', () => {
    const text = render(python, { args: { PYTHON_VERSION: '3.12' } });

    expect(read(python).bases).toEqual(['python:3.11-slim', 'ghcr.io/astral-sh/uv:0.4']);
    expect(text.split('\n')).toEqual([
      `FROM ${pin('python-3-12-slim')} AS stage0`,
      'ENV PIP_NO_CACHE_DIR=1     PYTHONUNBUFFERED=1',
      'FROM stage0 AS stage1',
      'ARG PYTHON_VERSION="3.12"',
      'WORKDIR /workspace',
      'COPY requirements.txt .',
      'RUN pip install       -r requirements.txt',
      'FROM stage0 AS stage2',
      'COPY --from=stage1 --chown=1000:1000 /workspace /workspace',
      `COPY --from=${pin('ghcr-io-astral-sh-uv-0-4')} /uv /bin/uv`,
      'HEALTHCHECK CMD ["true"]',
      'SHELL ["/bin/bash", "-c"]',
      'USER 1000',
      'COPY . /workspace',
      '',
    ]);
  });

  it('is cut at its target (C-13)', () => {
    const text = render(python, { target: 'Deps' });

    expect(text).not.toContain('stage2');
    expect(text).toContain('pip install');
    expect(errorsOf(python, { target: 'none' })).toEqual(['1 unknown_stage']);
  });

  it('has init commands as stages of their own, in order, each with its environment (C-23, C-25, C-26)', () => {
    const init = [
      { label: 'one', command: ['uv', 'sync', '"$X"'], cwd: '.', env: { UV_LINK_MODE: 'a "$b" \\' } },
      { label: 'two', command: ['true'], cwd: 'sub', env: {} },
    ];

    expect(render('FROM x', {}, { init, workDir: '/workspace' })).toBe(
      [
        `FROM ${pin('x')} AS stage0`,
        'FROM stage0 AS stage1',
        'ARG UV_LINK_MODE="a \\"\\$b\\" \\\\"',
        'WORKDIR "/workspace"',
        'RUN ["uv","sync","\\"$X\\""]',
        'FROM stage1 AS stage2',
        'WORKDIR "/workspace/sub"',
        'RUN ["true"]',
        '',
      ].join('\n'),
    );
  });

  it('has what its image sets for an init command alone, and set back behind it (C-25)', () => {
    const env = { PATH: '/opt/bin:/bin', MODE: 'slow', OWN: '1' };
    const init = [
      { label: 'one', command: ['make'], cwd: '.', env },
      { label: 'two', command: ['true'], cwd: '.', env: {} },
    ];
    const lines = (image: readonly string[]) => render('FROM x', {}, { init, env: image }).split('\n').slice(2, -4);

    const told = lines(['MODE=a "$b" \\=', 'OTHER=1']);

    expect(told).toEqual([
      ...['ENV PATH="/opt/bin:/bin"', 'ENV MODE="slow"', 'ARG OWN="1"', 'WORKDIR "/"', 'RUN ["make"]'],
      ...['ENV PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"', 'ENV MODE="a \\"\\$b\\" \\\\="'],
    ]);
    expect(lines(['PATH=/x'])).toContain('ENV PATH="/x"');
    const labels = Array.from({ length: 13 }, (_, behind) => initLabel({ init, env: ['MODE='] }, behind));
    expect(labels).toEqual([...Array(3).fill('two'), ...Array(8).fill('one'), undefined, undefined]);
  });

  it('sets by ENV what its last stage has, and stands on the image of that', () => {
    const { env, root } = read(
      'FROM a AS one\nENV A=1\nFROM b AS two\nENV B=1\nFROM one\nCOPY --from=two x x\nENV C 1',
    );

    expect([[...env].toSorted(), root]).toEqual([['A', 'C'], 'a']);
    expect(read('FROM scratch').root).toBeUndefined();
  });

  it.each([
    ['$X', { X: 'v' }, 'v'],
    ['a$X', {}, 'a'],
    [`\${X:-d}`, {}, 'd'],
    [`\${X:-d}`, { X: '' }, 'd'],
    [`a\${X-d}`, { X: '' }, 'a'],
    [`a\${X:+e}`, { X: 'v' }, 'ae'],
    [`a\${X:+e}`, {}, 'a'],
  ])('has %s with %o in FROM as %s', (written, args, name) => {
    expect(read(`ARG X\nFROM ${written}`, { args }).bases).toEqual([name]);
  });

  it.each([
    ['a directive', '# syntax=docker/dockerfile:1\nFROM x', '1 directive'],
    ['an escape of its own', '# escape=`\nFROM x', '1 directive'],
    ['a here-document', 'FROM x\nRUN <<EOF\nEOF', '2 heredoc'],
    ['a here-document behind a list', 'FROM x\nRUN ["a"] <<EOF\nEOF', '2 heredoc'],
    ['a here-document in what is no list of words', 'FROM x\nRUN ["a", 1, " <<EOF"]\nEOF', '2 heredoc'],
    ['no sources', 'FROM x AS a\nFROM a\nCOPY --from=a', '3 flag'],
    ['no place for what it copies', 'FROM x\nCOPY a', '2 empty'],
    ['a space that is none to a builder at its end', 'FROM x\nADD \\\u00a0', '2 escape'],
    ['two backslashes at the end', 'FROM x\nRUN a \\\\\nRUN b', '2 escape'],
    ['a mount of a newer builder', 'FROM x\nRUN --mount=type=secret,id=a true', '2 flag'],
    ['a flag of a newer builder', 'FROM x\nCOPY --link a b', '2 flag'],
    ['an owner that a builder may read otherwise', 'FROM x\nCOPY --chown="0" a b', '2 flag'],
    ['a character that may end a line', 'FROM x\nRUN a\u0085b', '2 character'],
    ['ONBUILD', 'FROM x\nONBUILD RUN true', '2 onbuild'],
    ['an address to add', 'FROM x\nADD https://example.com/a /a', '2 add'],
    ['an address to add, as a list', 'FROM x\nADD ["http://example.com/a", "/a"]', '2 add'],
    ['a repository to add', 'FROM x\nADD git@github.com:a/b /a', '2 add'],
    ['a variable to add', 'FROM x\nADD $A /a', '2 add'],
    ['an archive to add', 'FROM x\nADD a.tar.xz /a', '2 add'],
    ['another platform', 'FROM --platform=linux/riscv64 x', '1 platform'],
    ['no image left', `FROM \${X}`, '1 image'],
    ['a value in an unknown form', `FROM \${X%y}`, '1 value'],
    ['an instruction before FROM', 'RUN a\nFROM x', '1 order'],
    ['a stage that is not there', 'FROM x\nCOPY --from=3 a b', '2 from'],
    ['a second stage of a name', 'FROM x AS a\nFROM x AS A', '2 name'],
    ['no instruction', 'FROM x\nRUNN a', '2 unknown'],
    ['no stage', '# nothing', '1 no_stage'],
    ['a NUL', 'FROM x\nRUN a\0b', '2 character'],
    ['a value that holds the one before it again and again', `FROM x\n${growing}`, '14 value'],
    ['values that hold each other', `FROM x\nARG A=aaaa\n${'ENV B=$A$A$A\nENV A=$B$B$B\n'.repeat(4)}`, '9 value'],
    ['a long value in many places', `FROM x\nENV A=${'a'.repeat(2000)}\nLABEL a="${'$A'.repeat(9)}"`, '3 value'],
    ['a value under a name that is made of values', `FROM x\nENV A=B\n${'ENV $A=$B$B$B$B\n'.repeat(4)}`, '5 value'],
    ['values of an image too often', `FROM x\nENV A=${'$PATH'.repeat(16)}`, '2 value'],
    [
      'many volumes',
      `FROM x\nVOLUME /a\nVOLUME ["${Array.from({ length: 64 }, (_, n) => n).join('", "')}"]`,
      '3 value',
    ],
    ['long values within each other', `FROM x\nENV A=b\nLABEL a=${`\${A:-`.repeat(65)}${'}'.repeat(65)}`, '3 value'],
    ['many long values', `FROM x\n${'ENV A=1\n'.repeat(2)}${longValues(9)}`, '12 value'],
  ])('with %s is refused with its line', (_, text, error) => {
    expect(errorsOf(text)).toContain(error);
  });

  it.each([
    ...['ENV A=$1', 'ENV A $@', 'LABEL a="$#"', 'WORKDIR /$$', 'USER $-', 'COPY $! /', 'VOLUME $*', 'STOPSIGNAL $?'],
    ...['ENV A=$é', 'ENV A=$Bé', 'ENV A=$B\u0301', `ARG A=\${é}`, `ARG A=\${Bé}`, `ENV A=\${1}`, "ENV A='$1'"],
    ...[`ENV A=\${B//a/$C}`, `ENV A=\${B/a/$C}`, `ENV A=\${B#a}`, `ENV A=\${B%%a}`, `ENV A=\${B:=a}`, `ENV A=\${`],
    ...['ENV A=\\\\$1', 'COPY ["\\u0024A", "/x"]', 'VOLUME ["/$A\\u0041"]', `COPY ["\${A\\/a/b}", "/x"]`],
  ])('has no value in a form that some builder may know, and is told the way out: %s', (line) => {
    expect(errorsOf(`FROM x\n${line}`)).toEqual(['2 value']);
    expect(checkValues(`FROM x\n${line}\n`, [])).toMatchObject([
      { path: '/dockerfile/2', code: 'value', message: expect.stringMatching(/: write /) },
    ]);
  });

  it.each([
    ...[
      'ENV "A"=b',
      "ENV 'A'=b",
      'ENV A""=b',
      'ENV A\\B=c',
      'ENV A\\ B=c',
      'ENV "A" b',
      'ENV $A=b',
      'ENV 1=a',
      'ENV é=a',
    ],
    ...['ENV A\u00a0=b c', 'ENV a=b "B"=c', "ENV A=it's"],
  ])('sets nothing under a name that is not plain: %s', (line) => {
    expect(errorsOf(`FROM x\n${line}`)).toEqual(['2 value']);
    expect(checkValues(`FROM x\n${line}\n`, [])).toMatchObject([{ path: '/dockerfile/2', code: 'value' }]);
  });

  it.each([
    ...[`RUN echo $1 $@ $$ \${x//a/b} $(id) "$é"`, `CMD echo $1 \${x%y}`, 'ENTRYPOINT ["sh", "-c", "\\u0024@"]'],
    ...[
      'HEALTHCHECK CMD test $# = 0',
      `ENV A="\\$1" B=\\$@ C=\\\${x//a/b}`,
      'ENV A=^a$ B="$"',
      "ENV A='^a$'",
      'LABEL a="$(pwd)"',
    ],
    ...[
      'LABEL "com.example.a"="b c" org.example/d-e=f',
      'ENV discovery.type=single-node',
      `ENV A \${B:-c} \${D:?e}`,
      'ARG A=$B',
    ],
  ])('keeps what no builder takes for a value, and those that are known: %s', (line) => {
    expect(errorsOf(`FROM x\n${line}`)).toEqual([]);
    expect(checkValues(`FROM x\n${line}\n`, [])).toEqual([]);
  });

  it.each([
    ['RUN ["python3","-c","x = 1<<20"]'],
    ['RUN ["sh", "-c", "cat > f <<EOF\\nx\\nEOF"]'],
    ['RUN [ "a", " <<-EOF" ]'],
    ['RUN echo "$((1<<20))"'],
  ])('has no here-document where a builder knows none: %s', (line) => {
    expect(errorsOf(`FROM x\n${line}`)).toEqual([]);
    expect(checkDockerfile(render(`FROM x\n${line}`), registries).errors).toEqual([]);
  });

  it('is told all that is wrong with it at once', () => {
    expect(errorsOf('FROM x\nONBUILD RUN a\nADD a.tar /\nFOO')).toEqual(['2 onbuild', '3 add', '4 empty', '4 unknown']);
  });

  it.each([
    ['instructions', 'FROM scratch\n'.repeat(1001), 'too_many'],
    ['stages, each made of the one before', stagesInARow(20_000), 'too_many'],
    ['faults', 'FROM scratch\n\0\n'.repeat(2000), 'too_many'],
    [
      'images',
      `FROM a\n${Array.from({ length: 64 }, (_, index) => `COPY --from=b${index} / /\n`).join('')}`,
      'too_many',
    ],
    ['in a value', `ARG A=a\n${'ARG A=$A$A\n'.repeat(40)}FROM $A\n`, 'value'],
  ])('with more %s than anybody writes is refused, and costs no more to be read (FAULTS 35)', (_, text, code) => {
    const judged = readDockerfile(text);

    expect(judged.ok ? [] : judged.errors.map((error) => error.code)).toContain(code);
    expect(judged.ok ? 0 : judged.errors.length).toBeLessThan(1010);
  });

  it('exposes nothing: what is published is for the plan to say', () => {
    expect(render('FROM x\nEXPOSE $PORT 1-65535\nUSER 1')).toBe(`FROM ${pin('x')} AS stage0\nUSER 1\n`);
  });

  it('may add to its values as authors do', () => {
    const idioms = [
      `ENV PATH=/x:$PATH`,
      `ENV LD=/y\${LD:+:$LD}`,
      `ENV P="\${P:-/usr}/z"`,
      'ENV HOME /h',
      'LABEL a=$HOME',
    ];

    expect(errorsOf(`FROM x\n${`${idioms.join('\n')}\n`.repeat(20)}`)).toEqual([]);
  });

  it('has init commands with any characters in one line, and no value that is none', () => {
    const strange = ['a\u2028b', '\u0085', '\ufeff', '\x7f', '\ufffd', 'ä'];
    const text = render('FROM x', {}, { init: [{ label: 'l', command: strange, cwd: '.', env: {} }] });

    expect(checkDockerfile(text, registries).errors).toEqual([]);
    expect(JSON.parse(text.trimEnd().split('\nRUN ')[1] ?? '')).toEqual(strange);
    expect(errorsOf('FROM x', { args: { A: 'a\u2028b' } })).toEqual(['1 character']);
    expect(errorsOf('FROM x', { args: { A: '\ud800' } })).toEqual(['1 character']);
  });

  it('in its new form is taken by the gate, and read again is the same, whatever it was', () => {
    const piece = fc.constantFrom(
      ...['FROM a:1', 'FROM a:1 AS one', 'FROM one', 'RUN a \\\n # c\n b', 'COPY --from=0 a b', 'COPY --from=one a b'],
      ...['ARG X=1', 'ARG X', 'ENV A=b', 'ADD . /x', 'FROM $X', 'USER 1', '# c', '', 'RUN ["a", "b\\\\"]', 'CMD a\\'],
    );
    let taken = 0;

    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 10 }), (lines) => {
        const judged = readDockerfile(['FROM a:1', ...lines].join('\n'));
        if (!judged.ok) return;
        taken += 1;
        const bases = Object.fromEntries(judged.dockerfile.bases.map((name) => [name, pin(name.replace(/\W/g, '-'))]));
        const text = renderDockerfile(judged.dockerfile, { bases });
        expect(checkDockerfile(text, registries).errors).toEqual([]);
        const again = read(text);
        expect(renderDockerfile(again, { bases: Object.fromEntries(again.bases.map((name) => [name, name])) })).toBe(
          text,
        );
      }),
    );
    expect(taken).toBeGreaterThan(0);
  });
});

describe('the gate takes no Dockerfile', () => {
  const from = `FROM ${pin('x')} AS stage0\n`;

  it.each([
    ['by tag', 'FROM registry.example/x:1 AS stage0\n'],
    ['of another registry', `FROM evil.example/x@sha256:${'a'.repeat(64)} AS stage0\n`],
    ['without a stage', '\n'],
    ['without an end', from.trimEnd()],
    ['with a comment', `# c\n${from}`],
    ['with a continuation', `${from}RUN a \\\nFROM evil\n`],
    ['with a carriage return', `${from}RUN a\r\n`],
    ['in lower case', `${from}run a\n`],
    ['with a space before', `${from} RUN a\n`],
    ['with a mount', `${from}RUN --mount=type=bind,target=/x a\n`],
    ['with ADD', `${from}ADD https://example.com/x /x\n`],
    ['with ONBUILD', `${from}ONBUILD RUN a\n`],
    ['with ports, which may be a range', `${from}EXPOSE 1-65535\n`],
    ['with a here-document', `${from}RUN <<EOF\n`],
    ['with files of an image by tag', `${from}COPY --from=busybox a b\n`],
    ['with files of a later stage', `${from}COPY --from=stage0 a b\n`],
    ['with a platform', `FROM --platform=linux/arm64 ${pin('x')} AS stage0\n`],
    ['with stages out of order', `FROM ${pin('x')} AS stage1\n`],
    ['with --from behind another flag', `${from}COPY --chown=1 --from=busybox a b\n`],
    ['with --from behind quotes', `${from}COPY --chown="\${N:+a b}0" --from=evil.example/x:1 /s /t\n`],
    ['with --from behind quoted words', `${from}COPY --chown="0: 0" --from=evil.example/x:1 /s /t\n`],
    ['with --from behind a byte that a builder takes for a space', `${from}COPY --chown=0\u00e0--from=evil:1 /s /t\n`],
    ['with --from that ends with a tab', `${from}COPY --from=evil:1\t/ /x\n`],
    ['with --from that ends with another space', `${from}COPY --from=evil:1\u00a0/ /x\n`],
    ['with a here-document whose word is a number', `${from}RUN cat <<1\n`],
    ['with a here-document whose word is escaped', `${from}RUN cat <<\\A\n`],
    ['with a here-document in a list that is not closed', `${from}RUN ["a", " <<EOF"\n`],
    ['with a here-document behind a list', `${from}RUN ["a"] <<EOF\n`],
    ['with a here-document behind a list in a list', `${from}RUN [["a"], " <<EOF"]\n`],
    ['with a here-document in what only looks like a list', `${from}RUN ['a', ' <<EOF']\n`],
    ['with a line that no builder reads', `${from}RUN ${'x'.repeat(65_536)}\n`],
    ['with a character that may end a line', `${from}RUN a\u2028FROM evil\n`],
    ['with a stage written otherwise', `${from}FROM stage00 AS stage1\n`],
  ])('%s', (_, text) => {
    expect(checkDockerfile(text, registries).errors).not.toEqual([]);
  });

  it('whose values may become very long on its images', () => {
    const line = `LABEL a="${'$BIG'.repeat(5)}"\n`;

    expect(checkValues(`${from}${line}`, [`BIG=${'b'.repeat(4000)}`])).toMatchObject([{ path: '/dockerfile/2' }]);
    expect(checkValues(`${from}${line}`, ['BIG=b'])).toEqual([]);
    expect(checkValues(`${from}${growing}`, [])).not.toEqual([]);
    expect(checkValues(`${from}${'VOLUME /a /b\n'.repeat(33)}`, [])).toMatchObject([{ path: '/dockerfile/34' }]);
  });

  it.each([
    ['under a number', `ENV 1=aaaaaaaa\n${'ENV 1=$1$1$1$1$1$1$1$1\n'.repeat(10)}`],
    ['under a name in quotes', `ENV "A"=aaaaaaaa\n${'ENV "A"=$A$A$A$A$A$A$A$A\n'.repeat(10)}`],
    ['in the place of each of its parts', `ENV A=aaaaaaaa B=bbbbbbbb\n${`ENV B=\${A//a/$B}\n`.repeat(10)}`],
    ['behind another of its line', `ARG X B=aaaaaaaa\n${'ARG X B=$B$B$B$B$B$B$B$B\n'.repeat(10)}`],
    ['as a list of numbers of characters', `ENV A=${'a'.repeat(9000)}\nCOPY ["\\u0024A\\u0024A", "/x"]\n`],
    ['that the engine sets', `ENV A=${'$PATH'.repeat(200)}\n`],
    ['that is none', `WORKDIR /${'a'.repeat(200_000)}\n`],
  ])('with a value that grows %s', (_, lines) => {
    expect(checkValues(`${from}${lines}`, [])).not.toEqual([]);
  });
});

describe('labels of a Dockerfile', () => {
  const judge = (text: string) => [
    errorsOf(`FROM x\n${text}`),
    checkLabels(`FROM x\n${text}\n`, [], 0).map(({ path, code }) => `${path.split('/')[2] ?? ''} ${code}`),
  ];

  it.each([
    ['LABEL a=b "c.d/e-f"="g h" i=\'j k\' l=m\\ n o=""'],
    ['LABEL a text of the old form, with = and "'],
    [`ARG VERSION=1\nLABEL version=$VERSION plain="\${VERSION}"`],
    [`${'LABEL a=b\n'.repeat(128)}`.trim()],
  ])('%s is taken', (text) => {
    expect(judge(text)).toEqual([[], []]);
  });

  it.each([
    ['too many', `${'LABEL a=b\n'.repeat(129)}`, 130],
    ['too long together', `${`LABEL a=${'b'.repeat(2000)}\n`.repeat(9)}`, 10],
    ['too long with their values', `ARG A=${'b'.repeat(2000)}\n${'LABEL a=$A$A$A$A\n'.repeat(3)}`, 5],
    ['named as those of hosts', 'LABEL a=b gpuaas.instance=x', 2],
    ['named so in quotes', 'LABEL "gpuaas.build.allocation"=x', 2],
    ['named so in the old form', 'LABEL Gpuaas.instance x', 2],
    ['named by values', 'LABEL a$B=x', 2],
    ['quoted in part', 'LABEL gpu"aas.instance"=x', 2],
    ['ended by builders in different places', String.raw`LABEL a='\' b=' gpuaas.instance=x c='d'`, 2],
  ])('are refused, at push and at the gate: %s', (_, text, line) => {
    const refused = [expect.arrayContaining([`${line} label`])];
    expect(judge(text)).toEqual([...refused, ...refused]);
  });

  it('have an end on all layers, with those of its image', () => {
    const text = `FROM x\n${'RUN true\n'.repeat(399)}`;

    expect(checkLabels(text, [], 2 ** 15)).toEqual([]);
    expect(checkLabels(text, [], 2 ** 16)).toMatchObject([{ path: '/dockerfile', code: 'label' }]);
  });
});

describe('labels of all layers', () => {
  it('stand in each stage that begins with an image or with nothing, and are of the form that is taken', () => {
    const text = render(
      'FROM x AS a\nRUN one\nFROM a\nCOPY --from=a /f /g\nFROM scratch\nCOPY --from=1 /g /\nLABEL a=FROM',
      {},
    );

    const made = labelled(text, { one: '1', two: '2' });

    expect(made.split('\n')).toEqual([
      ...[`FROM ${pin('x')} AS stage0`, 'LABEL one=1 two=2', 'RUN one', 'FROM stage0 AS stage1'],
      ...['COPY --from=stage0 /f /g', 'FROM scratch AS stage2', 'LABEL one=1 two=2', 'COPY --from=stage1 /g /'],
      ...['LABEL a=FROM', ''],
    ]);
    expect(checkDockerfile(made, registries).errors).toEqual([]);
  });
});
