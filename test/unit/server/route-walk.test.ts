/** Walks every route of the control plane: each is described, guarded, and blind to what belongs to another project. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { collectionNames, collections } from '../../../src/server/db/collections.ts';
import { Event } from '../../../src/server/db/entities/event.ts';
import type { Push } from '../../../src/server/db/entities/revision.ts';
import { aJob, aStepReport, jobNews, secondOf } from '../../support/job-samples.ts';
import { aNode } from '../../support/launch-samples.ts';
import { haveRevision } from '../../support/revision-samples.ts';
import { anAllocation, anInstance } from '../../support/store-samples.ts';
import { testServer } from '../../support/test-server.ts';

const server = await testServer();
const { call, store } = server;

interface Operation {
  readonly summary: string;
  readonly security: readonly unknown[];
  readonly 'x-roles'?: readonly string[];
  readonly parameters: readonly { name: string; in: string; description: string }[];
  readonly responses: Record<string, unknown>;
}
const { body: document } = await call('GET', '/openapi.json', { as: null });
const operations = Object.entries(document.paths as Record<string, Record<string, Operation>>).flatMap(
  ([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      method,
      path,
      operation,
    })),
);

const theirs = { allocation: anAllocation({ project_id: 'p2' }), secret: 'The notebook of somebody else' };
const output = Buffer.from('weights of somebody else');
const theirJob = aJob({
  id: 'job-1',
  project_id: 'p2',
  name: theirs.secret,
  state: 'succeeded',
  ended_at: secondOf(60),
});
const theirDocument = {
  ...{ version: '0.1', type: 'container' },
  ops: [{ type: 'container/run', id: 'one', args: { image: 'docker.io/library/python', cmd: [theirs.secret] } }],
};
const theirPush: Push = {
  ...{ id: 'push-1', project_id: 'p2', sha256: null, bytes: 64, state: 'receiving', revision_sha256: null },
  ...{ failure: null, errors: [], warnings: [], left_out: [], trace_id: theirs.secret },
  ...{ created_at: secondOf(0), created_by: 'token-2', ended_at: null },
};
const revision = await haveRevision(server, Buffer.from('files'), { project_id: 'p2' }, { secret: theirs.secret });
const outputSha = createHash('sha256').update(output).digest('hex');
mkdirSync(join(server.revisionFolder, '../job-outputs/p2'), { recursive: true });
writeFileSync(join(server.revisionFolder, '../job-outputs/p2', outputSha), output);
await store.write(async (tx) => {
  await tx.jobs.insert(theirJob);
  await tx.job_documents.insert({ id: 'job-1', document: theirDocument, sealed_secrets: null });
  await tx.job_news.insert(jobNews(theirJob, [aStepReport('one', { results: { secret: [theirs.secret] } })]));
  await tx.job_outputs.insert({
    ...{ id: 'output-1', job_id: 'job-1', project_id: 'p2', node_id: 'n1', name: 'model', kind: 'artifact' },
    ...{ sha256: outputSha, bytes: output.length, media_type: 'application/octet-stream', file_name: 'model' },
    ...{ state: 'stored', reason: null, offered_at: secondOf(1), stored_at: secondOf(2) },
  });
  await tx.pushes.insert(theirPush);
  await tx.events.append({
    ...{ time: secondOf(3), type: 'job.changed', project_id: 'p2', actor: 'node:n1', correlation_id: 'trace-1' },
    ...{ subject: { kind: 'job', id: 'job-1' }, message: theirs.secret, data: {} },
  });
  await tx.allocations.insert(theirs.allocation);
  await tx.nodes.insert(aNode({ id: 'n1', allocation_id: theirs.allocation.id, name: 'their-host' }));
  await tx.app_instances.insert(anInstance({ id: 'i1', project_id: 'p2', display_name: theirs.secret }));
});
const ids: Record<string, string> = {
  ...{ project_id: 'p2', allocation_id: theirs.allocation.id, instance_id: 'i1', node_id: 'n1' },
  ...{ job_id: 'job-1', push_id: 'push-1', sha256: revision.sha256, name: 'model' },
};
const addressOf = (path: string) => path.replaceAll(/\{(\w+)\}/g, (_, name) => ids[name] ?? 'unknown');

describe.each(operations)('$name', ({ method, path, operation }) => {
  it('says what it does and what each parameter is', () => {
    expect(operation.summary).toMatch(/^[A-Z].*[.]$/);
    expect(operation.parameters.filter(({ description }) => description.length < 5)).toEqual([]);
    expect(Object.keys(operation.responses)).toHaveLength(2);
  });

  it.each([
    ['a page that had its name rebound to us', { host: 'evil.example.com' }],
    ['a page of another origin', { origin: 'https://evil.example.com' }],
  ])('is closed to %s, whatever token it brings', async (_, headers) => {
    const all = { authorization: `Bearer ${server.tokens['admin']}`, ...headers };
    const asking = request(`${server.url}${addressOf(path)}`, { method, headers: all }).end();
    const [response] = (await once(asking, 'response')) as [IncomingMessage];
    response.resume();

    expect(response.statusCode).toBe(403);
  });

  it('is open to nobody without a token, also one in its address, unless it proves its callers itself', async () => {
    const proves =
      ['/healthz', '/openapi.json', '/registry/v1/token', '/bootstrap.sh'].includes(path) ||
      /^\/(agent\/v1|api\/v1\/schemas)\//.test(path) ||
      `${method} ${path}` === 'post /api/v1/session';
    const address = `${addressOf(path)}?access_token=${server.tokens['admin']}`;
    const { status } = await call(method.toUpperCase(), address, { as: null });

    expect(operation.security.length === 0).toBe(proves);
    expect(proves || status === 401).toBe(true);
  });
});

const openToMembers = operations.filter(({ operation }) => operation['x-roles']?.includes('member'));

describe.each(openToMembers)('$name', ({ method, path }) => {
  it('tells a member nothing of another project', async () => {
    const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '');
    const { status, body } = await call(method.toUpperCase(), addressOf(path), {
      as: 'member',
      ...(method === 'post' ? { body: { action: 'stop' } } : {}),
      headers: { accept: 'application/json' },
      ...(path === '/api/v1/events' ? { headers: { 'last-event-id': 'none' } } : {}),
    });

    const answer = JSON.stringify(body);
    expect(names.some((name) => name in ids) ? [404, 400, 403] : [200, 400, 403, 404]).toContain(status);
    expect(answer).not.toContain(theirs.secret);
    expect(answer).not.toContain('their-host');
  });
});

/** Each call that is about jobs, what was pushed for them and what came of them, as its owner would make it. */
const aboutJobs = openToMembers.filter(({ path }) => /\{(job_id|push_id|sha256)\}|\/(pushes|revisions)$/.test(path));

describe.each(aboutJobs)('$name, with ids that another project has', ({ method, path }) => {
  const ask = async (as: string): Promise<{ status: number; text: string }> => {
    const isUpload = method === 'put';
    const response = await fetch(`${server.url}${addressOf(path)}${isUpload ? '?offset=0' : ''}`, {
      ...{ method: method.toUpperCase(), signal: AbortSignal.timeout(30_000) },
      ...(isUpload
        ? { body: new Uint8Array(1) }
        : path.endsWith('/pushes') && method === 'post'
          ? { body: '{"bytes": 64}' }
          : {}),
      headers: {
        authorization: `Bearer ${server.tokens[as]}`,
        ...(isUpload ? { 'content-type': 'application/octet-stream' } : {}),
        ...(path.endsWith('/pushes') && method === 'post' ? { 'content-type': 'application/json' } : {}),
      },
    });
    // The log of a job goes on for as long as somebody reads it.
    if (response.ok) await response.body?.cancel();
    return { status: response.status, text: response.ok ? '' : await response.text() };
  };

  it('is as if they were not there, whatever it would do, and does nothing', async () => {
    const before = await kept();

    for (const as of ['member', 'viewer']) {
      const { status, text } = await ask(as);
      expect([status, as]).toEqual([as === 'viewer' && method !== 'get' ? 403 : 404, as]);
      expect(text).not.toContain(theirs.secret);
    }
    expect(await kept()).toEqual(before);
  });

  if (method !== 'get') return;
  it('shows them to their owner', async () => {
    expect((await ask('stranger')).status).toBe(200);
  });
});

/** What there is of the other project, and how much of its push was sent. */
async function kept() {
  const rows = await store.read(async (tx) => [
    ...[await tx.jobs.list(), await tx.pushes.list(), await tx.revisions.list(), await tx.job_outputs.list()],
    await tx.tasks.list(),
  ]);
  return { rows, files: readdirSync(join(server.revisionFolder, 'p2')).toSorted() };
}

it('a job of a revision that another project has cannot be submitted', async () => {
  const body = { revision: revision.sha256 };

  expect((await call('POST', '/api/v1/jobs', { as: 'member', body })).status).toBe(404);
  expect((await call('POST', '/api/v1/jobs', { as: 'stranger', body })).status).not.toBe(404);
});

it('has routes to walk', () => {
  expect(aboutJobs.length).toBeGreaterThan(12);
  expect(operations.length).toBeGreaterThan(40);
  expect(openToMembers.length).toBeGreaterThan(20);
});

it('judges texts in time that grows with them, whatever they are (FAULTS 35)', () => {
  const patterns = [...new Set(patternsOf(document))].map((pattern) => new RegExp(pattern, 'u'));
  const pieces = ['a', '0', '-', '.', '_', '/', 'a.', '-_', '\u0000', ' ', ':', '@', 'sha256:', '0a-', '日'];

  // One that took the square of the length would not be over before the test is ended.
  for (const pattern of patterns) {
    for (const piece of pieces) {
      pattern.test(piece.repeat(100_000));
      pattern.test(`a${piece.repeat(100_000)}\n`);
    }
  }

  expect(patterns.length).toBeGreaterThan(15);
});

/** Every pattern in it, those of names included. */
function patternsOf(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  return Object.entries(schema).flatMap(([key, value]) => [
    ...(key === 'pattern' && typeof value === 'string' ? [value] : []),
    ...(key === 'patternProperties' ? Object.keys(value as object) : []),
    ...patternsOf(value),
  ]);
}

describe('what the store keeps', () => {
  it.each([...collectionNames.map((name) => [name, collections[name].schema] as const), ['events', Event] as const])(
    'of %s is described, field by field',
    (_name, schema) => {
      expect(undescribed(schema, '')).toEqual([]);
    },
  );
});

/** Paths of fields that say nothing about themselves. */
function undescribed(schema: object, path: string): string[] {
  const {
    properties = {},
    anyOf = [],
    items,
  } = schema as {
    properties?: Record<string, { description?: string }>;
    anyOf?: object[];
    items?: object;
  };
  return [
    ...Object.entries(properties).flatMap(([key, property]) => [
      ...(property.description ? [] : [`${path}/${key}`]),
      ...undescribed(property, `${path}/${key}`),
    ]),
    ...anyOf.flatMap((option) => undescribed(option, path)),
    ...(items ? undescribed(items, `${path}/*`) : []),
  ];
}
