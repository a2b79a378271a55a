import { writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { AgentError, type Failure } from '../../../../src/contract/failures.ts';
import { runGpuaas } from '../../../support/run-gpuaas.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { waitForNothing } from '../../../support/waits.ts';

// Nobody waits between two looks.
waitForNothing();

const file = join(temporaryFolder('follow-job'), 'job.json');
writeFileSync(file, '{}');
const standing = (state: string, reason: string) => ({ id: 'j-1', state, reason });
const atTheEnd = standing('succeeded', 'The job has succeeded: 1 of 1 step has succeeded.');
let ended: object;
const line = { service: 'one', text: 'said by a step', encoding: 'utf8' };

/** How the job stands at each look; it has ended when all of them are over. */
let standings: object[];
/** Why its log ends; what it said comes where that is null. */
let logEnd: Failure | null;
let events: ServerResponse | undefined;
const server = createServer((request, response) => {
  const { method, url = '' } = request;
  if (url.startsWith('/api/v1/events')) {
    events = response;
    response.flushHeaders();
    endWhereOver();
  } else if (url.includes('/logs')) {
    const said = logEnd === null ? `event: entries\ndata: ${JSON.stringify([line])}\n\n` : '';
    response.end(`${said}event: end\ndata: ${JSON.stringify({ failure: logEnd })}\n\n`);
  } else {
    const now = method === 'POST' ? { ...standings[0], warnings: [] } : standings.shift();
    endWhereOver();
    response.end(JSON.stringify(now ?? ended));
  }
});

function endWhereOver(): void {
  if (standings.length === 0) events?.end(`id: 9\ndata: ${JSON.stringify({ type: 'job.succeeded' })}\n\n`);
}

beforeAll(async () => void (await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))));
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  events = undefined;
  logEnd = null;
  ended = atTheEnd;
  standings = [
    ...Array.from({ length: 3 }, () => standing('queued', 'It waits for its turn.')),
    ...Array.from({ length: 2 }, () => standing('queued', 'It waits until it can have 1 core, of 0 that are free.')),
    standing('running', 'The job runs.'),
  ];
});

const follow = (...words: string[]) => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return runGpuaas({ url, token: 'secret' }, ['jobs', 'submit', file, '--follow', ...words]);
};

it('says beside the log which job it is, and why it waits, whenever that is another', async () => {
  const { status, out, err } = await follow();

  expect([status, out]).toEqual([0, 'one | said by a step\n']);
  expect(err.trimEnd().split('\n')).toEqual([
    'j-1 is queued. It waits for its turn.',
    'j-1 is queued. It waits until it can have 1 core, of 0 that are free.',
    'j-1 is running. The job runs.',
    'j-1 is succeeded. The job has succeeded: 1 of 1 step has succeeded.',
  ]);
});

it('says once what its host could not fetch or keep, also where it says so at the end', async () => {
  const warning = (name: string) => ({ kind: 'output', name, code: 'output.refused', message: `${name} is a link.` });
  const running = { ...standing('running', 'The job runs.'), run_warnings: [warning('one')] };
  const told = async (...words: string[]) => {
    standings = [standing('running', 'The job runs.'), standing('running', 'The job runs.'), running, running];
    ended = { ...atTheEnd, run_warnings: [warning('one'), warning('two')] };
    return (await follow(...words)).err.trimEnd().split('\n');
  };

  expect((await told()).filter((each) => each.startsWith('warning'))).toEqual([
    'warning: one is a link.',
    'warning: two is a link.',
  ]);
  const lines = (await told('--json')).map((each) => JSON.parse(each));
  expect(lines.filter(({ type }) => type === 'warning')).toEqual(
    ['one', 'two'].map((name) => ({ type: 'warning', id: 'j-1', ...warning(name) })),
  );
});

it('says so as JSON where that was asked for, and then prints the job behind its log', async () => {
  const { status, out, err } = await follow('--json');

  expect(status).toBe(0);
  expect(
    out
      .trimEnd()
      .split('\n')
      .map((each) => JSON.parse(each)),
  ).toEqual([line, ended]);
  expect(JSON.parse(err.split('\n')[0] ?? '')).toEqual({
    type: 'job',
    ...standing('queued', 'It waits for its turn.'),
  });
});

it.each([
  ['says nothing of the log of a job of which no step was begun', null, ''],
  ['says that the log of a job is gone of which a step was begun', '2026-11-25T10:00:01.000Z', '… its log broke off: '],
])('%s', async (_, started_at, said) => {
  logEnd = new AgentError('container.not_found').toFailure();
  ended = { ...atTheEnd, steps: [{ id: 'one', started_at }] };

  const { status, out, err } = await follow();

  expect([status, out]).toEqual([0, '']);
  expect(err.split('\n').filter((each) => each.includes('its log'))).toEqual(
    said ? [expect.stringContaining(said)] : [],
  );
});

it('says that as JSON where that was asked for', async () => {
  logEnd = new AgentError('container.not_found').toFailure();
  ended = { ...atTheEnd, steps: [{ id: 'one', started_at: '2026-11-25T10:00:01.000Z' }] };

  const { err } = await follow('--json');

  const told = err
    .trimEnd()
    .split('\n')
    .map((each) => JSON.parse(each));
  expect(told).toContainEqual({ type: 'stream', message: expect.stringMatching(/^its log broke off: /) });
});
