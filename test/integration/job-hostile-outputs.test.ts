/**
 * What a program leaves where its outputs are looked for, on the real engine: links out and on the way, pipes, files where folders
 * should be, and what changes while it is read. Nothing is followed, all of it is told, and no output has a byte of the host (C-77).
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GVISOR_RUNTIME, gvisorFlag } from '../../bootstrap/dev/gvisor.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import type { AgentError } from '../../src/contract/failures.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan } from '../../src/contract/job-plan.ts';
import { containerName } from '../../src/contract/names.ts';
import type { OutputDestination } from '../../src/jobs/outputs/hand-over.ts';
import { eventually } from '../support/eventually.ts';
import { plan as planOf, step, words } from '../support/job-plans.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

const folder = temporaryFolder('hostile-outputs');
const never = new AbortController().signal;
/** Under gVisor a name may be there before what is in it. */
const own = ['mine', ''].map((text) => createHash('sha256').update(text).digest('hex'));
const treasure = join(folder, 'outside', 'treasure');

/** What was handed over, by its sha256. */
const handed = new Map<string, Buffer>();
const destination: OutputDestination = {
  offer: async ({ output }) => {
    handed.delete(output.sha256);
    return { received: 0, complete: false, refused: null };
  },
  send: async ({ sha256, bytes, offset }) => {
    handed.set(sha256, Buffer.concat([handed.get(sha256) ?? Buffer.alloc(0), bytes]));
    return { received: offset + bytes.length, complete: true, refused: null };
  },
};

let engine: PrivateEngine;
let host: TestHost;
let images: JobPlan['images'];
beforeAll(async () => {
  mkdirSync(join(folder, 'outside'));
  writeFileSync(treasure, 'gold of the host');
  engine = await startPrivateEngine(folder, { flags: [await gvisorFlag(folder)] });
  host = await openTestHost({
    ...{ engineSocket: engine.socketPath, outputs: destination },
    policy: { sandboxes: { runc: 'runc', gvisor: GVISOR_RUNTIME } },
  });
  const reference = await host.image('tiny');
  images = planOf().images.map((image) => ({ ...image, source: { ...image.source, reference } }) as typeof image);
});
afterAll(async () => {
  await host?.close();
  await engine?.stop();
});

function planFor(id: string, script: string, outputs: JobPlan['outputs'], sandbox: JobPlan['sandbox']): JobPlan {
  const base = planOf();
  const resources = { gpu_count: 0, cpu_cores: 0.2, memory_gib: 0.125 };
  return {
    ...{ ...base, sandbox, images, outputs, resources, network: 'none', volumes: [{ name: 'data' }] },
    identity: { ...base.identity, job_id: id, allocation_id: host.policy.allocation.id },
    steps: [
      step('task', {
        ...{ command: words('/bin/sh', '-c', script), resources, work_dir: '/data' },
        mounts: [{ volume: 'data', path: '/data', read_only: false }],
      }),
    ],
  };
}

const planned = (name: string, path: string, required = false): JobPlan['outputs'][number] => ({
  ...{ name, volume: 'data', path, type: 'artifact', required },
});

/** What came of each output: what is in it, or what was said of it. */
async function ran(id: string, script: string, paths: readonly string[], sandbox: JobPlan['sandbox']) {
  const told = new Map<string, unknown>();
  const outputs = paths.map((path, index) => planned(`output-${index}`, path));
  const result = await host.run('workload.job_launch', planFor(id, script, outputs, sandbox), {
    onEvent: ({ type, message, values }) => {
      if (type.startsWith('output.')) told.set(String(values['output']), `${type}: ${message}`);
    },
  });
  expect(result.failure).toBeNull();
  for (const { name, sha256, media_type } of (result.output as JobTaskOutput).outputs) {
    const bytes = handed.get(sha256) ?? Buffer.alloc(0);
    told.set(name, media_type === 'application/x-tar' ? await listed(bytes) : bytes.toString());
  }
  return Object.fromEntries(outputs.map(({ name, path }) => [path, told.get(name)]));
}

async function listed(tar: Buffer): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Readable.from([tar]).pipe(extract())) {
    let content = '';
    for await (const chunk of entry) content += chunk;
    const { name, type, linkname } = entry.header;
    names.push(`${name}${type === 'file' ? `=${content}` : ''}${linkname ? `>${linkname}` : ''}`);
  }
  return names;
}

const refused = (reason: string) =>
  expect.stringMatching(new RegExp(`^output\\.failed: \\S+ could not be kept\\. .*${reason}$`));
const isLink = refused('It is a symlink, and no file and no folder\\.');
const isOnTheWay = (path: string) => refused(`/data/${path} is a link\\.`);
const isUnread = refused('It cannot read what is at the path of the output\\.');
const isMissing = expect.stringMatching(/^output\.missing: /);

/** By path: what is there, and what becomes of it. */
const cases: Readonly<Record<string, unknown>> = {
  'to-host': isLink,
  'to-image': isLink,
  'to-nothing': isLink,
  'to-itself': isUnread,
  root: isLink,
  [`root${treasure}`]: isOnTheWay('root'),
  'root/tmp/own/file': isOnTheWay('root'),
  'dev/zero': isOnTheWay('dev'),
  'mid/file': isOnTheWay('mid'),
  'in/way/other': isOnTheWay('in/way'),
  'self/plain': isOnTheWay('self'),
  'to-itself/file': isUnread,
  pipe: refused('It is a fifo, and no file and no folder\\.'),
  'pipe/file': isUnread,
  'plain/file': isUnread,
  'in/none/file': isMissing,
  'none/file': isMissing,
  plain: 'mine',
  'in/../plain': 'mine',
  'folder.json': ['a=a'],
  full: ['hard=mine', 'one=one', 'two>one', 'near>one'],
};

describe.each(['runc', 'gvisor'] as const)('under %s', (sandbox) => {
  it('is kept where it is a file or a folder of the volume; what it was else is told', async () => {
    const script = `set -e
      mkdir -p /tmp/own in/deep folder.json full; echo own > /tmp/own/file; printf mine > in/file; printf other > in/deep/other
      ln -s ${treasure} to-host; ln -s /tmp/own/file to-image; ln -s none to-nothing; ln -s to-itself to-itself
      ln -s / root; ln -s /dev dev; ln -s in mid; ln -s deep in/way; ln -s . self
      mkfifo pipe; printf mine > plain; printf a > folder.json/a
      printf one > full/one; ln full/one full/two; ln in/file full/hard; ln -s one full/near; ln -s ../in/file full/out
      ln -s / full/root; ln -s ${treasure} full/host; mkfifo full/pipe`;

    expect(await ran(`hostile-${sandbox}`, script, Object.keys(cases), sandbox)).toEqual({
      ...cases,
      // It keeps pipes to itself.
      ...(sandbox === 'gvisor' && { pipe: isMissing, 'pipe/file': isMissing }),
    });
    expect(Buffer.concat([...handed.values()]).includes('gold')).toBe(false);
  });

  it('is no byte of the host, nor of another place of its own, where it is swapped while it is read', async () => {
    const script = `mkdir true; printf mine > true/file; ln -s ${folder}/outside false; cp -r true way; printf mine > file
      echo swaps
      while :; do
        ln -s ${treasure} next && mv -T next file; printf mine > next && mv next file
        mv way away && ln -s ${folder}/outside way; rm way && mv away way
      done`;
    const id = `swapped-${sandbox}`;
    const cancel = new AbortController();
    const plan = planFor(id, script, [], sandbox);
    const running = host.run('workload.job_launch', plan, { cancel: cancel.signal });
    await eventually(async () => expect(await host.engine.inspect(containerName(id, 'task'), never)).toBeDefined());
    for await (const { data } of host.engine.logs(containerName(id, 'task'), { signal: never, follow: true })) {
      if (data.toString().includes('swaps')) break;
    }
    const where = { job: id, container: containerName(id, 'task'), target: '/data' };
    const became = new Set<unknown>();
    for (let times = 0; times < 4 || (became.size < 3 && times < 60); times += 1) {
      for (const path of ['file', 'way/file', `way/treasure`]) {
        became.add(
          await host.jobs.outputs?.take(planned('swapped', path), where, never).then(
            (kept) => (own.includes(kept?.sha256 ?? '') ? 'mine' : kept),
            ({ code }: AgentError) => code,
          ),
        );
      }
    }
    cancel.abort();
    await running;

    expect(became).toEqual(new Set([undefined, 'mine', 'output.refused']));
  });
});
