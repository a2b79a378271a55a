import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import type { Instance } from '../../../../src/cli/gpuaas/instance.ts';
import { untilSettled } from '../../../../src/cli/gpuaas/watch.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import { waitForNothing } from '../../../support/waits.ts';

// Nobody waits between two attempts.
waitForNothing();

const asked = {
  id: 'i-1',
  node_id: 'n-1',
  state: 'deploying',
  desired: 'running',
  state_since: '2026-11-25T10:00:00.000Z',
};
const event = (seq: number, message: string, time = '2026-11-25T10:00:01.000Z') => ({ seq, time, type: 'x', message });
const settled = { ...asked, state: 'running', summary: 'The workload is running and ready.', failure: null };
const all = [
  event(1, 'Of an earlier change.', '2026-11-25T09:00:00.000Z'),
  event(2, 'The workload is pulling.'),
  event(3, 'The workload is stopped.'),
  event(4, 'The workload is stopped.'),
  event(5, 'The workload is running and ready.'),
];

let instance: object;
/** What it is in the end. */
let end: object;
let node: object;
/** Whether it settles once the stream is open. */
let settlesBy: 'stream' | 'nothing';
/** How many of the events the stream has, and what answers for the instance while it is not itself. */
let streamed: number;
let answer: (response: ServerResponse) => boolean;
let said: string[];
const server = createServer((request, response) => {
  if (request.url?.startsWith('/api/v1/events')) stream(response);
  else if (request.url?.startsWith('/api/v1/nodes/')) response.end(JSON.stringify(node));
  else if (request.url?.includes('/events')) response.end(JSON.stringify({ items: all.slice(afterOf(request)) }));
  else if (!answer(response)) response.end(JSON.stringify(instance));
});

beforeEach(async () => {
  instance = asked;
  end = settled;
  settlesBy = 'stream';
  streamed = all.length;
  answer = () => false;
  said = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text).trimEnd()) > 0);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  vi.restoreAllMocks();
  server.closeAllConnections();
  server.close();
});

function afterOf({ url = '' }: IncomingMessage): number {
  return Number(new URL(url, 'http://x').searchParams.get('after') ?? 0);
}

/** The instance is settled as soon as the first event is out: it is ahead of the stream. */
function stream(response: ServerResponse): void {
  if (settlesBy === 'stream') instance = end;
  for (const each of all.slice(0, streamed)) response.write(`id: ${each.seq}\ndata: ${JSON.stringify(each)}\n\n`);
}

async function watched(json = false, quietMs = 30_000) {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new ControlPlaneClient({ url, token: 'secret' });
  return await untilSettled(client, asked as unknown as Instance, { json, timeout: 30, quietMs });
}

it('says every step up to the last, also where the instance is settled before the stream has told of it', async () => {
  streamed = 2;

  const { status } = await watched();

  expect(status).toBe(0);
  expect(said).toEqual([
    '10:00:01  The workload is pulling.',
    '10:00:01  The workload is stopped.',
    '10:00:01  The workload is running and ready.',
  ]);
});

it('leaves out for programs only what belongs to an earlier change', async () => {
  await watched(true);

  expect(said.map((line) => JSON.parse(line).seq)).toEqual([2, 3, 4, 5]);
});

it('ends where the host refused what was asked, with the reason', async () => {
  const failure = new AgentError('resources.exceeded', { reason: 'Asked for 2 cores, 1 free.' }).toFailure();
  end = { ...settled, state: 'stopped', failure };

  const { status } = await watched();

  expect(status).toBe(1);
  expect(said.join('\n')).toContain('Asked for 2 cores, 1 free.');
});

it('waits for a control plane that goes away in the middle, longer than for the answer to one request', async () => {
  let refused = 0;
  answer = (response) => {
    refused += 1;
    if (refused <= 6) response.destroy();
    return refused <= 6;
  };

  const { instance: last } = await watched();

  expect(last.state).toBe('running');
  expect(refused).toBeGreaterThan(6);
});

it('ends on Ctrl-C with what that means', async () => {
  streamed = 0;
  const waiting = watched();
  const refusal = expect(waiting).rejects.toMatchObject({ code: 'command.interrupted', detail: { instance: 'i-1' } });
  await expect.poll(() => process.listenerCount('SIGINT')).toBeGreaterThan(0);

  process.emit('SIGINT');

  await refusal;
  expect(process.listenerCount('SIGINT')).toBe(0);
});

it.each([
  [true, 'its node is connected'],
  [false, 'its node is away, last seen'],
])('says why there is no news, where its node is connected: %j', async (connected, words) => {
  settlesBy = 'nothing';
  streamed = 2;
  node = { connected, last_seen_at: '2026-11-25T10:00:00.000Z' };
  const waiting = watched(false, 5);
  const refusal = expect(waiting).rejects.toMatchObject({ code: 'command.interrupted' });

  await expect.poll(() => said.length).toBeGreaterThanOrEqual(4);
  process.emit('SIGINT');
  await refusal;

  expect(said[0]).toBe('10:00:01  The workload is pulling.');
  for (const line of said.slice(1)) {
    expect(line).toMatch(
      /^… nothing new: it has been deploying for \d+ \w+; its node is .*\. Last: The workload is pulling\.$/,
    );
    expect(line).toContain(words);
  }
});

it('says how it is where nothing had to be done, on one line', async () => {
  const settled = { ...asked, state: 'running', summary: 'The workload is running.\nLook at it: x', failure: null };

  await untilSettled({} as ControlPlaneClient, settled as unknown as Instance, { json: false, timeout: 30 });

  expect(said).toEqual(['The workload is running.\\nLook at it: x']);
});
