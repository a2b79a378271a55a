/** Transfers of scripts on the real engine, with a server of the test's own that the operator lists. */
import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ExeCommand } from '../../src/contract/exe-script.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import { plan as planOf, step } from '../support/job-plans.ts';
import { type LoopbackSource, loopbackSource } from '../support/loopback-source.ts';
import { leftOf } from '../support/nosana-ground.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

let host: TestHost;
let server: LoopbackSource;
let image: string;
const put = new Map<string, Buffer>();
const large = randomBytes(40 * 2 ** 20);

beforeAll(async () => {
  server = await loopbackSource(async (request, response, url) => {
    if (request.method === 'PUT') {
      put.set(url.pathname, await buffer(request));
      response.writeHead(url.pathname === '/denied' ? 403 : 201).end();
    } else if (url.pathname === '/elsewhere') {
      response.writeHead(302, { location: 'http://127.0.0.1:1/x' }).end();
    } else if (url.pathname === '/large') {
      answerLarge(request, response);
    } else {
      response.writeHead(200).end(`hello ${url.search}`);
    }
  });
  host = await openTestHost({ policy: { egress: { allow: [new URL(server.origin).host] } } });
  image = await host.image('tiny');
});
afterAll(async () => await host?.close());

function answerLarge({ headers }: IncomingMessage, response: ServerResponse): void {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
  const [from, to] = [Number(first ?? 0), last ? Number(last) + 1 : large.length];
  const range = first === undefined ? {} : { 'content-range': `bytes ${from}-${to - 1}/${large.length}` };
  response.writeHead(first === undefined ? 200 : 206, { etag: '"one"', 'content-length': to - from, ...range });
  response.end(large.subarray(from, to));
}

const sh = (line: string): ExeCommand => ({ run: { entry_point: '/bin/sh', args: ['-c', line] } });
const bring = (path: string, to: string): ExeCommand => ({
  transfer: { from: `${server.origin}${path}`, to: `container:${to}` },
});
const send = (from: string, path: string): ExeCommand => ({
  transfer: { from: `container:${from}`, to: `${server.origin}${path}` },
});

it('brings a file into the container that runs, and one out of it, with what programs have made of it', async () => {
  const { report, events } = await carryOut('transfer-both', [
    { deploy: {} },
    bring('/small?key=1', '/golem/input/a/b/in.txt'),
    { start: {} },
    sh(
      'cat /golem/input/a/b/in.txt; tr a-z A-Z < /golem/input/a/b/in.txt > /golem/output/out.txt; echo more >> /golem/input/a/b/in.txt',
    ),
    bring('/large', '/golem/input/large'),
    sh('sha256sum < /golem/input/large; mkdir /golem/input/own; chmod 700 /golem/input/own'),
    bring('/small', '/golem/input/own/in.txt'),
    sh('stat -c %a /golem/input/own'),
    send('/golem/output/out.txt', '/put/out'),
    send('/golem/input/large', '/put/large'),
  ]);

  expect(report.failure).toBeNull();
  const said = report.steps[0]?.commands?.map(({ stdout }) => stdout?.text);
  const sha256 = createHash('sha256').update(large).digest('hex');
  expect([said?.[3], said?.[5], said?.[7]]).toEqual(['hello ?key=1', `${sha256}  -\n`, '700\n']);
  expect(put.get('/put/out')?.toString()).toBe('HELLO ?KEY=1');
  expect(put.get('/put/large')?.equals(large)).toBe(true);
  expect(events.filter((type) => type === 'command.ended')).toHaveLength(10);
  expect(await leftOf(host, 'transfer-both')).toEqual([]);
});

it.each<[what: string, before: string, transfer: () => ExeCommand, says: RegExp]>([
  [
    'redirects to where the job may not go',
    'true',
    () => bring('/elsewhere', '/golem/input/x'),
    /none of the addresses/,
  ],
  [
    'does not let it have what it puts',
    'echo x > /golem/output/x',
    () => send('/golem/output/x', '/denied'),
    /does not let whoever asks put it there/,
  ],
  ['is asked for what is not there', 'true', () => send('/golem/output/none', '/put/x'), /nothing at/],
  ['would get a folder', 'mkdir /golem/output/f', () => send('/golem/output/f', '/put/x'), /is a directory/],
  [
    'would get what a link leads to',
    'ln -s /etc/passwd /golem/output/l',
    () => send('/golem/output/l', '/put/x'),
    /is a symlink/,
  ],
  ['is reached over a link', 'ln -s /etc /golem/output/l', () => send('/golem/output/l/passwd', '/put/x'), /is a link/],
  [
    'would be written through a link',
    'ln -s /etc /golem/input/l',
    () => bring('/small', '/golem/input/l/x'),
    /is a link/,
  ],
  [
    'would be written over a link',
    'ln -s /etc/x /golem/input/l',
    () => bring('/small', '/golem/input/l'),
    /is a symlink/,
  ],
  ['would be written over a folder', 'mkdir /golem/input/f', () => bring('/small', '/golem/input/f'), /is a folder/],
])('fails where it %s', async (what, before, transfer, says) => {
  const { report } = await carryOut(`transfer-${what.replaceAll(/[^a-z]+/g, '-')}`.slice(0, 60), [
    sh(before),
    transfer(),
    sh('true'),
  ]);

  expect(report).toMatchObject({ failure: { code: 'command.failed', detail: { index: 1 } } });
  expect(report.failure?.message).toMatch(says);
  expect(report.steps[0]?.commands?.map(({ state }) => state)).toEqual(['succeeded', 'failed', 'skipped']);
  expect(put.get('/put/x')).toBeUndefined();
});

it('never goes to a private address that the operator does not list for it, though inputs may come from there', async () => {
  const other = await loopbackSource((_request, response) => void response.writeHead(200).end('inner'));
  const { host: place } = new URL(other.origin);
  const inner = await openTestHost({ inputs: { allow: [place] } });
  const { report } = await carryOut(
    'transfer-private',
    [{ transfer: { from: `${other.origin}/x`, to: 'container:/golem/input/x' } }],
    { at: inner, origin: other.origin },
  ).finally(() => inner.close());

  expect(report.failure?.message).toContain('not public');
  expect(other.asked).toEqual([]);
});

it('goes on where a download was cut', async () => {
  server.asked.length = 0;
  server.faults.push((request, response) => {
    if (request.headers.range === 'bytes=0-0') return false;
    response.writeHead(206, { etag: '"one"', 'content-range': `bytes 0-${large.length - 1}/${large.length}` });
    response.write(large.subarray(0, 2 ** 20), () => response.destroy());
    return true;
  });
  const { report } = await carryOut('transfer-cut', [
    bring('/large', '/golem/input/large'),
    sh('sha256sum < /golem/input/large'),
  ]);

  expect(report.steps[0]?.commands?.[1]?.stdout?.text).toBe(`${createHash('sha256').update(large).digest('hex')}  -\n`);
});

async function carryOut(id: string, script: ExeCommand[], { at = host, origin = server.origin } = {}) {
  const { command: _command, ...bare } = step('one', {
    resources: { gpu_count: 0, cpu_cores: 0.5, memory_gib: 0.125 },
  });
  const names = ['input', 'output'];
  const mounts = names.map((volume) => ({ volume, path: `/golem/${volume}`, read_only: false }));
  const { hostname, port } = new URL(origin);
  const base = planOf({
    ...{
      network: 'allow_list',
      egress: { rules: [{ scheme: 'http', host: hostname, port: Number(port) }], any_public: [] },
    },
    ...{ volumes: names.map((name) => ({ name })), steps: [{ ...bare, mounts, script }] },
  });
  const events: string[] = [];
  const plan = {
    ...base,
    identity: { ...base.identity, job_id: id, allocation_id: at.policy.allocation.id },
    images: base.images.map((each) => ({
      ...each,
      source: { ...each.source, reference: image } as typeof each.source,
    })),
  };
  const result = await at.run('workload.job_launch', plan, { onEvent: ({ type }) => void events.push(type) });
  const { report } = (result.output as JobTaskOutput | null) ?? {};
  if (!report) throw new Error(JSON.stringify(result.failure));
  return { report, events };
}
