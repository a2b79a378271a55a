import { Command } from 'commander';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import { addFleetCommands } from '../../../../src/cli/gpuaas/fleet-commands.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import { createLog } from '../../../../src/kit/log.ts';
import type { CollectionName } from '../../../../src/server/db/collections.ts';
import type { AuditEntry } from '../../../../src/server/db/entities/audit-entry.ts';
import type { Store } from '../../../../src/server/db/store.ts';
import { AuditTrail } from '../../../../src/server/http/audit.ts';
import { createMetrics } from '../../../../src/server/http/metrics.ts';
import { signIn } from '../../../support/signed-in.ts';
import { testServer } from '../../../support/test-server.ts';
import { unlimitedRates } from '../../../support/unlimited.ts';

const server = await testServer();
const { call, store, tokens } = server;
const audit = '/api/v1/audit';
const projects = '/api/v1/projects';
const idOf = (as: string) => tokens[as]?.split('_')[1] ?? '';
afterEach(() => {
  vi.restoreAllMocks();
});

/** Entries of one request, by its name. */
async function entriesOf(correlationId: string): Promise<AuditEntry[]> {
  const { items } = (await call('GET', `${audit}?limit=500`)).body as { items: AuditEntry[] };
  return items.filter((entry) => entry.correlation_id === correlationId);
}
const as = (correlationId: string, more: Record<string, string> = {}) => ({
  'x-correlation-id': correlationId,
  ...more,
});

describe('a change', () => {
  it('is written down in the transaction that makes it: who, what, from where', async () => {
    const commits: ReadonlySet<CollectionName>[] = [];
    const stop = store.onCommit(({ changed }) => commits.push(changed));
    const { body } = await call('POST', projects, { body: { name: 'audited' }, headers: as('made') });
    stop();

    expect(await entriesOf('made')).toEqual([
      {
        ...{ id: expect.any(String), time: '2026-11-25T10:00:00.000Z', actor: `token:${idOf('admin')}`, role: 'admin' },
        ...{ project_id: null, method: 'POST', route: projects, subject: body.id, outcome: 'accepted', status: 201 },
        ...{ code: null, correlation_id: 'made', remote: '127.0.0.1' },
      },
    ]);
    expect(commits.find((changed) => changed.has('projects'))).toContain('audit_entries');
  });

  it('of a thing names the thing, and the project of who asked', async () => {
    const { body } = await call('POST', '/api/v1/tokens', { as: 'member', body: { name: 'x', role: 'viewer' } });
    await call('DELETE', `/api/v1/tokens/${body.id}`, { as: 'member', headers: as('revoked') });

    expect(await entriesOf('revoked')).toMatchObject([
      { method: 'DELETE', route: '/api/v1/tokens/{token_id}', subject: body.id, project_id: 'p1', role: 'member' },
    ]);
  });

  it('that is repeated under its Idempotency-Key is written down once', async () => {
    const ask = () =>
      call('POST', projects, { body: { name: 'repeated' }, headers: as('again', { 'idempotency-key': 'again' }) });
    await Promise.all([ask(), ask(), ask()]);
    await ask();

    expect(await entriesOf('again')).toHaveLength(1);
  });

  it('by a session is one of its token; opening and closing one are changes as well', async () => {
    const opened = await call('POST', '/api/v1/session', {
      ...{ as: null, body: { token: tokens['member'] }, headers: as('opened') },
    });
    const [cookie = ''] = (opened.headers.get('set-cookie') ?? '').split(';');
    const headers = { cookie, 'x-gpuaas-csrf': opened.body.csrf_token };
    await call('DELETE', '/api/v1/session', { as: null, headers: { ...headers, ...as('closed') } });

    expect([...(await entriesOf('opened')), ...(await entriesOf('closed'))]).toMatchObject([
      { actor: `token:${idOf('member')}`, method: 'POST', outcome: 'accepted' },
      { actor: `token:${idOf('member')}`, method: 'DELETE', outcome: 'accepted' },
    ]);
  });
});

describe('a refusal', () => {
  it.each([
    ['of the role', 'viewer', 'POST', '/api/v1/tokens', { name: 'x', role: 'viewer' }, 403, 'request.forbidden', null],
    ['of what is not there', 'admin', 'DELETE', '/api/v1/tokens/none', undefined, 404, 'resource.not_found', 'none'],
    ['of another project’s', 'stranger', 'DELETE', '/api/v1/tokens/x', undefined, 404, 'resource.not_found', 'x'],
    ['of a body', 'admin', 'POST', projects, { name: 'No' }, 400, 'request.invalid', null],
    ['of a conflict', 'admin', 'POST', projects, { name: 'one' }, 409, 'resource.conflict', null],
  ])('%s is written down with its code', async (what, who, method, path, body, status, code, subject) => {
    const name = what.replaceAll(/[^a-z]/g, '-');
    await call(method, path, { as: who, headers: as(name), ...(body ? { body } : {}) });

    expect(await entriesOf(name)).toMatchObject([
      { actor: `token:${idOf(who)}`, outcome: 'refused', status, code, subject, method },
    ]);
  });

  it('of nobody we know is counted only, and so is one for asking too often; reads are not written down', async () => {
    const limited = await testServer({ rates: { ...unlimitedRates, token: { perSecond: 0.001, burst: 3 } } });
    await limited.call('POST', projects, { as: null, body: { name: 'x' } });
    await limited.call('POST', '/api/v1/session', { as: null, body: { token: 'none' } });
    await limited.call('GET', '/api/v1/nodes/none', { as: 'operator' });
    for (let asked = 0; asked < 5; asked += 1) await limited.call('POST', projects, { as: 'viewer', body: {} });

    const entries = await limited.store.read((tx) => tx.audit_entries.list());
    expect(entries.map(({ code, actor }) => [code, actor])).toEqual(
      Array.from({ length: 3 }, () => ['request.forbidden', `token:${limited.tokens['viewer']?.split('_')[1]}`]),
    );
  });

  it('fills no store: one token has so many written down, the rest are counted', async () => {
    const flooded = await testServer();
    for (let asked = 0; asked < 400; asked += 1) await flooded.call('POST', projects, { as: 'viewer', body: {} });
    await flooded.call('POST', projects, { as: 'member', body: {} });

    const counted = async (as: string) =>
      flooded.store.read((tx) => tx.audit_entries.count({ actor: `token:${flooded.tokens[as]?.split('_')[1]}` }));
    const metrics = String((await flooded.call('GET', '/metrics')).body);
    const unwritten = Number(/^gpuaas_audit_unwritten_total (\d+)$/m.exec(metrics)?.[1]);
    expect(unwritten).toBeGreaterThan(0);
    expect((await counted('viewer')) + unwritten).toBe(400);
    expect(await counted('member')).toBe(1);
  });

  it('is answered all the same where it cannot be written down', async () => {
    const broken = { write: async () => Promise.reject(new Error('disk I/O error')) } as unknown as Store;
    const { unwrittenRefusals: unwritten } = createMetrics();
    const trail = new AuditTrail({ store: broken, log: createLog({ level: 'silent' }), unwritten });
    const who = { tokenId: 't', role: 'viewer', projectId: 'p1', actor: 'token:t', sessionId: null } as const;
    const request = { params: {}, correlationId: 'c', remote: '', now: 0 };

    await trail.refused(who, { ...request, route: { method: 'POST', path: '/' } }, new AgentError('request.forbidden'));

    expect((await unwritten.get()).values[0]?.value).toBe(1);
  });
});

describe('the list', () => {
  it('is for the platform’s people', async () => {
    expect((await call('GET', audit, { as: 'operator' })).status).toBe(200);
    expect((await call('GET', audit, { as: 'member' })).status).toBe(403);
  });

  it('is newest first, in pages, and narrowed by actor, subject and outcome', async () => {
    const { body: own } = await call('POST', '/api/v1/tokens', {
      body: { name: 'own', role: 'member', project_id: 'p1' },
    });
    const ask = (name: string, role: string) =>
      call('POST', '/api/v1/tokens', {
        ...{ as: null, body: { name, role }, headers: as(name, { authorization: `Bearer ${own.token}` }) },
      });
    const made = await ask('l1', 'viewer');
    await ask('l2', 'admin');
    const actor = `actor=token:${own.id}`;
    const names = async (query: string) =>
      (await call('GET', `${audit}?${query}`)).body.items.map((item: AuditEntry) => item.correlation_id);

    const first = (await call('GET', `${audit}?${actor}&limit=1`)).body;

    expect(first.items[0].correlation_id).toBe('l2');
    expect(await names(`${actor}&limit=1&after=${first.next}`)).toEqual(['l1']);
    expect(await names(`${actor}&outcome=accepted`)).toEqual(['l1']);
    expect(await names(`${actor}&outcome=refused`)).toEqual(['l2']);
    expect(await names(`subject=${made.body.id}`)).toEqual(['l1']);
    expect(await names('actor=token:nobody')).toEqual([]);
    expect(await names('correlation_id=l1')).toEqual(['l1']);
    expect(await names('correlation_id=l')).toEqual([]);
  });

  it('has no secret and nothing of a body', async () => {
    const { headers, cookie, pageHalf } = await signIn(server, 'member');
    const canary = 'canary-in-a-body';
    const { body } = await call('POST', '/api/v1/tokens', {
      ...{ as: null, headers: { ...headers, 'idempotency-key': 'canary' }, body: { name: canary, role: 'viewer' } },
    });
    await call('POST', '/api/v1/tokens', { as: 'viewer', body: { name: canary, role: 'viewer' } });

    const kept = JSON.stringify(await store.read((tx) => tx.audit_entries.list()));
    expect(kept).toContain(body.id);
    const secrets = [body.token, tokens['member'], tokens['viewer']].map((token) => String(token).slice(-43));
    for (const secret of [canary, cookie.slice(-43), pageHalf, ...secrets]) expect(kept).not.toContain(secret);
  });

  it('is what `gpuaas audit` shows, as a table or as JSON', async () => {
    const client = new ControlPlaneClient({ url: server.url, token: tokens['admin'] ?? '' });
    const run = async (...args: string[]) => {
      let shown = '';
      vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
        shown += String(text);
        return true;
      });
      const program = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
      addFleetCommands(program, async (work) => void (await work(client)));
      await program.parseAsync(['audit', ...args], { from: 'user' });
      return shown;
    };
    await call('POST', '/api/v1/tokens', { as: 'viewer', body: {}, headers: as('shown') });

    await expect(run('--limit', '0')).rejects.toThrow('It must be 1 at least');
    expect((await run('--correlation', 'shown')).trim().split('\n')).toHaveLength(2);
    const rows = (await run('--actor', `token:${idOf('viewer')}`, '--limit', '1')).trim().split('\n');
    const { items } = JSON.parse(await run('--outcome', 'accepted', '--limit', '2', '--json')) as {
      items: AuditEntry[];
    };

    expect(rows).toHaveLength(2);
    expect(rows[1]).toContain('request.forbidden');
    expect(rows[1]).toContain('POST /api/v1/tokens');
    expect(rows[1]).toContain('shown');
    expect(items.map(({ outcome }) => outcome)).toEqual(['accepted', 'accepted']);
  });
});
