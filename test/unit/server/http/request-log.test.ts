import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createLog } from '../../../../src/kit/log.ts';
import { eventually } from '../../../support/eventually.ts';
import { testServer } from '../../../support/test-server.ts';

const lines: string[] = [];
const destination = new Writable({
  write: (chunk, _encoding, done) => {
    lines.push(...String(chunk).trim().split('\n'));
    done();
  },
});
const server = await testServer({}, { log: createLog({ level: 'debug', destination }) });
const actorOf = (as: string) => server.tokens[as]?.split('_')[1];

/** What the log says of the request, once it is answered. */
async function linesOf(correlationId: string, count = 1): Promise<Record<string, unknown>[]> {
  const find = () => lines.filter((line) => line.includes(`"trace_id":"${correlationId}"`));
  await eventually(() => expect(find()).toHaveLength(count));
  return find().map((line) => JSON.parse(line));
}
const as = (correlationId: string) => ({ 'x-correlation-id': correlationId });

describe('the log of the control plane', () => {
  it('has one line for each request for a change, by its name: what, who, what became of it, and nothing of its body', async () => {
    const canary = 'canary-in-a-body';
    const { body } = await server.call('POST', '/api/v1/tokens', {
      ...{ as: 'member', body: { name: canary, role: 'viewer' }, headers: as('made') },
    });
    await server.call('DELETE', `/api/v1/tokens/${body.id}?keep_made=nonsense`, {
      as: 'viewer',
      headers: as('refused'),
    });

    expect(await linesOf('made')).toMatchObject([
      { level: 'info', method: 'POST', route: '/api/v1/tokens', status: 201, code: null, actor: actorOf('member') },
    ]);
    expect(await linesOf('refused')).toMatchObject([
      {
        ...{ level: 'info', method: 'DELETE', route: '/api/v1/tokens/{token_id}', status: 403 },
        ...{ code: 'request.forbidden', actor: actorOf('viewer'), duration_ms: expect.any(Number) },
      },
    ]);
    const all = lines.join('\n');
    for (const secret of [canary, 'nonsense', '[redacted]', String(body.token).slice(-43)])
      expect(all).not.toContain(secret);
  });

  it('has none for what only reads, and one at debug for who is not known', async () => {
    await server.call('GET', '/api/v1/tokens', { headers: as('read') });
    await server.call('POST', '/api/v1/tokens', { as: null, body: {}, headers: as('stranger') });

    expect(await linesOf('stranger')).toMatchObject([
      { level: 'debug', status: 401, code: 'request.unauthenticated', actor: null },
    ]);
    expect(await linesOf('read', 0)).toEqual([]);
  });

  it('calls a route as metrics and the audit log do', async () => {
    await server.call('DELETE', '/api/v1/tokens/none', { headers: as('named') });
    const [line] = await linesOf('named');

    const { items } = (await server.call('GET', '/api/v1/audit?correlation_id=named')).body;
    const metrics = String((await server.call('GET', '/metrics')).body);

    expect([line?.['route'], items[0].route]).toEqual(['/api/v1/tokens/{token_id}', '/api/v1/tokens/{token_id}']);
    expect(metrics).toContain('method="DELETE",route="/api/v1/tokens/{token_id}"');
    expect(metrics).not.toContain('/:');
  });
});
