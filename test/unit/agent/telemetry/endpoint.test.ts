import { once } from 'node:events';
import { request } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { AgentStatus } from '../../../../src/agent/local-api/agent-status.ts';
import { agentFamilies, TaskCounts } from '../../../../src/agent/telemetry/agent-metrics.ts';
import { type Endpoint, serveEndpoint } from '../../../../src/agent/telemetry/endpoint.ts';
import { renderFamilies } from '../../../../src/agent/telemetry/exposition.ts';
import { createLog } from '../../../../src/kit/log.ts';
import { eventually } from '../../../support/eventually.ts';
import { agentStatus } from '../../../support/local-agent.ts';

let endpoint: Endpoint | undefined;

afterEach(() => {
  endpoint?.close();
  endpoint = undefined;
});

const logs = { open: 1, entries: 20, bytes: 300, gaps: 2 };
const log = createLog({ level: 'silent' });

async function ask(
  path: string,
  over: Partial<AgentStatus> = {},
  headers: Record<string, string> = {},
  method = 'GET',
) {
  const status = () => ({ ...agentStatus, ...over });
  endpoint ??= await serveEndpoint({
    ...{ port: 0, status, log },
    families: () => agentFamilies({ status: status(), sample: undefined, tasks: new TaskCounts(), logs, cards: [] }),
  });
  const { promise, resolve, reject } = Promise.withResolvers<{
    code: number | undefined;
    type: string;
    text: string;
  }>();
  request({ host: '127.0.0.1', port: endpoint?.port, path, headers, method }, async (response) => {
    const text = (await response.toArray()).join('');
    resolve({ code: response.statusCode, type: String(response.headers['content-type']), text });
  })
    .once('error', reject)
    .end();
  return await promise;
}

describe('metrics and health', () => {
  it('are in the format that Prometheus reads', async () => {
    const { code, type, text } = await ask('/metrics');

    expect([code, type]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
    for (const line of text.trimEnd().split('\n')) {
      expect(line).toMatch(/^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [\d.e+-]+)$/);
    }
    expect(text).toContain(
      '# TYPE gpuaas_workload_restarts_total counter\ngpuaas_workload_restarts_total{workload="notebook-1"} 2\n',
    );
    expect(text).toContain('gpuaas_agent_log_gaps_total 2\n');
    expect(text).toMatch(/process_resident_memory_bytes \d{7,}/);
  });

  it('say that the agent lives', async () => {
    expect(await ask('/healthz', { engine: { ...agentStatus.engine, state: 'away' } })).toMatchObject({ code: 200 });
  });

  it('say whether a task would be taken', async () => {
    expect(await ask('/readyz')).toMatchObject({ code: 200, text: '{"ready":true,"reasons":[]}\n' });
  });

  it.each<[string, Partial<AgentStatus>]>([
    ['The engine is away: no answer.', { engine: { state: 'away', since: 't', reason: 'no answer' } }],
    ['The journal cannot be written: disk full.', { journal: { ...agentStatus.journal, failure: 'disk full.' } }],
    [
      'There is no session with https://control.example.com: ECONNREFUSED.',
      { session: { ...agentStatus.session, state: 'waiting', reason: 'ECONNREFUSED' } },
    ],
    ['The agent is draining.', { draining: true }],
  ])('say why it would not: %s', async (reason, over) => {
    const { code, text } = await ask('/readyz', over);

    expect(code).toBe(503);
    expect(JSON.parse(text)).toEqual({ ready: false, reasons: [reason] });
  });

  it('give nothing to a page that came by another name, and change nothing', async () => {
    expect(await ask('/metrics', {}, { host: 'evil.example.com' })).toMatchObject({ code: 421 });
    expect(await ask('/metrics', {}, {}, 'POST')).toMatchObject({ code: 405 });
    expect(await ask('/')).toMatchObject({ code: 404 });
  });

  it('take a bounded number of connections: the agent needs its files for other things', async () => {
    await ask('/healthz');
    const port = endpoint?.port ?? 0;
    let refused = 0;

    const held = Array.from({ length: 40 }, () => connect(port, '127.0.0.1').on('close', () => (refused += 1)));
    await eventually(() => expect(refused).toBeGreaterThanOrEqual(8));

    for (const socket of held) socket.destroy();
    await eventually(() => expect(refused).toBe(40));
    expect(await ask('/healthz')).toMatchObject({ code: 200 });
  });

  it('are done without where the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;

    const served = await serveEndpoint({ port, status: () => agentStatus, families: () => [], log });

    expect(served).toBeUndefined();
    other.close();
  });
});

describe('a metric', () => {
  it('escapes what a label may not hold', () => {
    const text = renderFamilies([
      { name: 'x', type: 'gauge', help: 'a\nb', samples: [{ labels: { path: 'C:\\"a"\n' }, value: 1.5 }] },
      { name: 'empty', type: 'gauge', help: 'left out', samples: [] },
    ]);

    expect(text).toBe('# HELP x a\\nb\n# TYPE x gauge\nx{path="C:\\\\\\"a\\"\\n"} 1.5\n');
  });

  it('counts tasks that ended, and the time they took', () => {
    const tasks = new TaskCounts();
    const ended = (status: 'failed' | 'succeeded', seconds: number) =>
      tasks.ended('workload.oci_launch', {
        ...{ task_id: 't', status, output: null, failure: null, started_at: '2026-11-25T12:00:00.000Z' },
        finished_at: new Date(Date.parse('2026-11-25T12:00:00Z') + seconds * 1000).toISOString(),
      });

    ended('failed', 1);
    ended('succeeded', 2);
    ended('failed', 0.5);

    const text = renderFamilies(tasks.families());
    expect(text).toContain('gpuaas_agent_tasks_total{type="workload.oci_launch",status="failed"} 2\n');
    expect(text).toContain('gpuaas_agent_task_seconds_total{type="workload.oci_launch",status="failed"} 1.5\n');
  });
});
