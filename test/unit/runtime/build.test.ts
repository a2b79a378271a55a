/** What is told of a build, against a scripted engine that writes as the builder does. */
import { Readable } from 'node:stream';
import { afterEach, expect, it } from 'vitest';
import type { BuildImage } from '../../../src/contract/job-build.ts';
import { openDockerEngine } from '../../../src/runtime/docker/docker-engine.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { type ScriptedEngine, sendJson, startScriptedEngine } from './scripted-engine.ts';

const disk = temporaryFolder('build');
const source: BuildImage = {
  ...{ kind: 'build', revision_sha256: 'a'.repeat(64), revision_bytes: 1024, dockerfile: 'Dockerfile', context: '.' },
  ...{ args: {}, bases: {}, work_dir: '/work', network: 'none', timeout_seconds: 60, init: [] },
};

let scripted: ScriptedEngine | undefined;
afterEach(() => scripted?.close());

async function engineThatWrites(lines: readonly object[]) {
  scripted = await startScriptedEngine(({ line }, response) => {
    if (line.startsWith('POST /build')) response.end(lines.map((each) => `${JSON.stringify(each)}\r\n`).join(''));
    else if (line.startsWith('GET /gpuaas/')) sendJson(response, 200, { image: 'sha256:1', engine: '20.10.24' });
    else sendJson(response, 200, { DockerRootDir: disk, Version: '1', Id: 'sha256:1' });
  });
  return openDockerEngine({ socketPath: scripted.socketPath });
}

it('each step of a build is told once, and what is written otherwise as it comes', async () => {
  const written = [
    'Step 1/2 : FROM x',
    '\n',
    ' ---> 0123\n',
    'Step 2/2 : RUN make',
    '\n',
    'made ',
    'it\n',
    'Step 2/2 : x\n',
  ];
  const engine = await engineThatWrites(written.map((stream) => ({ stream })));
  const told: string[] = [];

  await engine.build({ projectId: 'project-1', source }, Readable.from([]), {
    ...{ signal: AbortSignal.timeout(25_000), diskReserveBytes: 0 },
    onProgress: ({ step, steps, text }) => told.push(`step ${step} of ${steps}: ${text}`),
    onLog: (text) => told.push(text),
  });

  expect(told).toEqual([
    ...['step 1 of 2: FROM x', ' ---> 0123\n', 'step 2 of 2: RUN make', 'made ', 'it\n'],
    // Of a command.
    'Step 2/2 : x\n',
  ]);
});

it('lines of a build end without a CR, wherever the engine cuts them; what its failure ends with has no colours', async () => {
  const message = 'returned a non-zero code: 1';
  const written = ['Step 1/1 : RUN make', 'one\r\ntwo\r', '\n', '10%\r', '20%\r\n', '\u001b[3', '5mred\u001b[0m\r\n'];
  const engine = await engineThatWrites([
    ...written.map((stream) => ({ stream })),
    { error: message, errorDetail: { message } },
  ]);
  const told: string[] = [];

  const built = engine.build({ projectId: 'project-1', source }, Readable.from([]), {
    ...{ signal: AbortSignal.timeout(25_000), diskReserveBytes: 0 },
    onLog: (text) => told.push(text),
  });

  await expect(built).rejects.toMatchObject({ code: 'build.failed', detail: { tail: 'one\ntwo\n10%\r20%\nred\n' } });
  expect(told.join('')).toBe('one\ntwo\n10%\r20%\n\u001b[35mred\u001b[0m\n');
});

it('room is asked for before a build fails for want of it', async () => {
  const engine = await engineThatWrites([{ stream: 'Step 1/1 : FROM x' }]);
  const asked: number[] = [];
  const build = (diskReserveBytes: number) =>
    engine.build({ projectId: 'project-1', source }, Readable.from([]), {
      ...{ signal: AbortSignal.timeout(25_000), diskReserveBytes },
      makeRoom: async (bytes) => void asked.push(bytes),
    });

  await build(0);
  expect(asked).toEqual([]);
  await expect(build(2 ** 60)).rejects.toMatchObject({ code: 'disk.full', detail: { path: disk } });
  expect(asked).toEqual([2 ** 60]);
});

it.each([
  [
    'a command found no room',
    'dd: No space left on device\n',
    'returned a non-zero code: 1',
    'disk.full',
    /^Step 2, RUN make, says/,
  ],
  [
    'a command found no room, and a port taken',
    'address already in use\ndd: No space left on device\n',
    'returned a non-zero code: 1',
    'disk.full',
    /^Step 2, RUN make, says/,
  ],
  ['the engine found no room', '', 'write /x: no space left on device', 'disk.full', /^write \/x: no space/],
  ['a command failed otherwise', 'no compiler\n', 'returned a non-zero code: 1', 'build.failed', /non-zero code/],
])('where %s it says so', async (_, said, message, code, reason) => {
  const step = { stream: 'Step 2/2 : RUN make' };
  const engine = await engineThatWrites([
    { stream: 'Step 1/2 : FROM x' },
    step,
    { stream: said },
    { error: message, errorDetail: { message } },
  ]);

  const built = engine.build({ projectId: 'project-1', source }, Readable.from([]), {
    ...{ signal: AbortSignal.timeout(25_000), diskReserveBytes: 0 },
  });

  const path = code === 'disk.full' ? { path: disk } : {};
  const place = { ...path, step: 2, instruction: 'RUN make' };
  await expect(built).rejects.toMatchObject({ code, detail: { ...place, reason: expect.stringMatching(reason) } });
});
