/** Walks every route of the control plane: each is described, guarded, and blind to what belongs to another project. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { describe, expect, it } from 'vitest';
import { collectionNames, collections } from '../../../src/server/db/collections.ts';
import { Event } from '../../../src/server/db/entities/event.ts';
import { aNode } from '../../support/launch-samples.ts';
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
await store.write(async (tx) => {
  await tx.allocations.insert(theirs.allocation);
  await tx.nodes.insert(aNode({ id: 'n1', allocation_id: theirs.allocation.id, name: 'their-host' }));
  await tx.app_instances.insert(anInstance({ id: 'i1', project_id: 'p2', display_name: theirs.secret }));
});
const ids: Record<string, string> = {
  ...{ project_id: 'p2', allocation_id: theirs.allocation.id, instance_id: 'i1', node_id: 'n1' },
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

it('has routes to walk', () => {
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
