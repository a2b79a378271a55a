/** The agent's socket, asked by its own client over a real socket. */
import { statSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { AgentStatus } from '../../../../src/agent/local-api/agent-status.ts';
import { isAgentThere, localClient } from '../../../../src/agent/local-api/client.ts';
import type { LogLine, RunLine } from '../../../../src/agent/local-api/lines.ts';
import type { LocalAgent } from '../../../../src/agent/local-api/local-agent.ts';
import { type LocalApi, serveLocalApi } from '../../../../src/agent/local-api/server.ts';
import type { LogItem, ReadOptions } from '../../../../src/agent/logs/log-source.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { TaskResult } from '../../../../src/contract/task-envelope.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { createLog } from '../../../../src/kit/log.ts';
import { eventually } from '../../../support/eventually.ts';
import { agentStatus, localAgent } from '../../../support/local-agent.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const folder = temporaryFolder('local-api');
const open = new Set<LocalApi>();
let count = 0;

afterEach(async () => {
  await Promise.all([...open].map((api) => api.close()));
  open.clear();
});

async function served(over: Partial<LocalAgent> = {}) {
  count += 1;
  const socketPath = join(folder, `run-${count}`, 'agent.sock');
  const { agent, asked } = localAgent(over);
  const api = await serveLocalApi(agent, { socketPath, log: createLog({ level: 'silent' }) });
  open.add(api);
  return { socketPath, api, asked, client: localClient(socketPath) };
}

const result: TaskResult = {
  ...{ task_id: 'task-1', status: 'succeeded', output: null, failure: null },
  ...{ started_at: '2026-11-25T10:00:00.000Z', finished_at: '2026-11-25T10:00:01.000Z' },
};
const item = (text: string): LogItem => ({
  ...{ cursor: `after ${text}`, time: '2026-11-25T10:00:00.000Z', channel: 'stdout', partial: false },
  data: Buffer.from(text),
});

describe('the socket of the agent', () => {
  it('is for its own user only', async () => {
    const { socketPath } = await served();

    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    expect(statSync(join(socketPath, '..')).mode & 0o777).toBe(0o700);
  });

  it('is refused where another daemon answers already', async () => {
    const { socketPath } = await served();

    await expect(
      serveLocalApi(localAgent().agent, { socketPath, log: createLog({ level: 'silent' }) }),
    ).rejects.toMatchObject({ code: 'agent.busy' });
  });

  it('tells the status', async () => {
    const { client } = await served();

    const status = await client.ask('/v1/status');

    expect(status).toEqual(agentStatus);
    expect(judge(AgentStatus, status).ok).toBe(true);
  });

  it('drains and takes work again', async () => {
    const { client, asked } = await served();

    expect(await client.ask('/v1/drain', { body: { on: true } })).toMatchObject({ draining: true });
    expect(await client.ask('/v1/drain', { body: { on: false } })).toMatchObject({ draining: false });
    expect(asked).toEqual(['drain true', 'drain false']);
  });

  it('streams a log as it comes, with its gaps', async () => {
    const reads: ReadOptions[] = [];
    const { client } = await served({
      logs: {
        async *read(_source, options) {
          reads.push(options);
          yield item('one');
          yield { gap: true, dropped: null };
          yield item('two');
        },
      },
    });
    const query = { kind: 'instance', id: 'notebook-1', tail: '5', follow: 'true' };

    const lines = await Array.fromAsync(client.stream<LogLine>('/v1/logs', { query }));

    expect(lines.map((line) => ('entry' in line ? line.entry.text : line.gap))).toEqual([
      'one',
      { dropped: null },
      'two',
    ]);
    expect(reads[0]).toMatchObject({ tail: 5, follow: true, cursor: undefined });
  });

  it('lets a source go when the client goes away', async () => {
    const signals: AbortSignal[] = [];
    const { client } = await served({
      logs: {
        async *read(_source, { signal }) {
          signals.push(signal);
          yield item('one');
          await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        },
      },
    });

    for await (const _line of client.stream('/v1/logs', { query: { kind: 'instance', id: 'notebook-1' } })) {
      break;
    }

    await eventually(() => expect(signals[0]?.aborted).toBe(true));
  });

  it('says in a last line why a stream broke off', async () => {
    const { client } = await served({
      logs: {
        async *read() {
          yield item('one');
          throw new AgentError('engine.unavailable', { reason: 'It went away.' });
        },
      },
    });
    const lines: LogLine[] = [];

    const reading = (async () => {
      for await (const line of client.stream<LogLine>('/v1/logs', { query: { kind: 'instance', id: 'n' } })) {
        lines.push(line);
      }
    })();

    await expect(reading).rejects.toMatchObject({ code: 'engine.unavailable', detail: { reason: 'It went away.' } });
    expect(lines).toHaveLength(1);
  });

  it('carries a task out with its events as they come, and the result last', async () => {
    const event = { time: 't', type: 'phase.entered', phase: null, message: 'The workload is pulling.', values: {} };
    const tasks: unknown[] = [];
    const { client } = await served({
      runTask: async (task, { onAccepted, onEvent, credential }) => {
        tasks.push({ task, credential });
        onAccepted('task-1');
        onEvent(event);
        return result;
      },
    });
    const body = { task: { type: 'x' }, credential: { bearer: 'b' } };

    const lines = await Array.fromAsync(client.stream<RunLine>('/v1/run-task', { body }));

    expect(lines).toEqual([{ task_id: 'task-1' }, { event }, { result }]);
    expect(tasks).toEqual([{ task: { type: 'x' }, credential: { bearer: 'b' } }]);
  });

  it('goes on with a task when whoever asked for it goes away', async () => {
    const goOn = Promise.withResolvers<void>();
    const ended: string[] = [];
    const { client } = await served({
      runTask: async (_task, { onAccepted, onEvent }) => {
        onAccepted('task-1');
        await goOn.promise;
        onEvent({ time: 't', type: 'x', phase: null, message: 'm', values: {} });
        ended.push('to its end');
        return result;
      },
    });

    for await (const _line of client.stream('/v1/run-task', { body: { task: {} } })) {
      break;
    }
    goOn.resolve();

    await eventually(() => expect(ended).toEqual(['to its end']));
  });

  it.each([
    ['an unknown path', '/v1/nothing', undefined, 'command.invalid'],
    ['a log of no kind', '/v1/logs', undefined, 'command.invalid'],
    ['a body that says nothing', '/v1/drain', {}, 'command.invalid'],
    ['what nobody knows', '/v1/explain?id=nobody', undefined, 'explain.unknown'],
    ['an id that is a path', '/v1/explain?id=../../secret', undefined, 'command.invalid'],
    ['a number that is none', '/v1/logs?kind=task&id=task-1&tail=many', undefined, 'command.invalid'],
  ])('refuses %s in the words of the table', async (_what, path, body, code) => {
    const { client } = await served();

    await expect(client.ask(path, { body })).rejects.toMatchObject({ code });
  });

  it('refuses a body that is no JSON or larger than a task may be', async () => {
    const { socketPath } = await served();
    const post = async (body: string) => {
      const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
      // The answer may come before all of it was sent, and the connection end.
      request({ socketPath, path: '/v1/drain', method: 'POST' }, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end(body);
      return await promise;
    };

    expect(await post('{')).toBe(400);
    expect(await post(`"${'x'.repeat(1_100_000)}"`)).toBe(400);
  });

  it('survives what is no HTTP', async () => {
    const { socketPath, client } = await served();
    const socket = connect(socketPath);

    socket.resume().end('hello\r\n\r\n');
    await new Promise((resolve) => socket.once('close', resolve));

    expect(await client.ask('/v1/status')).toMatchObject({ pid: 42 });
  });

  it('is told apart from a daemon that does not run', async () => {
    const { socketPath, api } = await served();
    expect(await isAgentThere(socketPath)).toBe(true);

    await api.close();
    open.delete(api);

    expect(await isAgentThere(socketPath)).toBe(false);
    await expect(localClient(socketPath).ask('/v1/status')).rejects.toMatchObject({ code: 'agent.absent' });
  });
});
