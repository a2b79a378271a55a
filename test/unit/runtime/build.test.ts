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
  scripted = await startScriptedEngine(({ line }, response) => {
    if (line.startsWith('POST /build'))
      response.end(written.map((stream) => `${JSON.stringify({ stream })}\r\n`).join(''));
    else if (line.startsWith('GET /gpuaas/')) sendJson(response, 200, { image: 'sha256:1', engine: '20.10.24' });
    else sendJson(response, 200, { DockerRootDir: disk, Version: '1', Id: 'sha256:1' });
  });
  const engine = openDockerEngine({ socketPath: scripted.socketPath });
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
