import { describe, expect, it } from 'vitest';
import { testServer } from '../../../support/test-server.ts';

const server = await testServer();

describe('/api/v1/projects', () => {
  it('makes a project once, whatever comes twice', async () => {
    const body = { name: 'research', display_name: 'Research' };

    const made = await server.call('POST', '/api/v1/projects', { body });
    const again = await server.call('POST', '/api/v1/projects', { body });

    expect(made).toMatchObject({ status: 201, body: { ...body, created_at: '2026-11-25T10:00:00.000Z' } });
    expect(again).toMatchObject({ status: 409, body: { error: { code: 'resource.conflict' } } });
    expect(await server.call('GET', `/api/v1/projects/${made.body.id}`)).toMatchObject({
      status: 200,
      body: made.body,
    });
  });

  it('leaves making them to admins', async () => {
    const answers = await Promise.all(
      ['operator', 'member', 'viewer'].map((as) =>
        server.call('POST', '/api/v1/projects', { as, body: { name: 'mine' } }),
      ),
    );

    expect(answers.map(({ status, body }) => [status, body.error.code])).toEqual(
      Array.from({ length: 3 }, () => [403, 'request.forbidden']),
    );
  });

  it('shows a member its own project, and another one exactly like one that is not there', async () => {
    const list = await server.call('GET', '/api/v1/projects', { as: 'member' });
    const other = await server.call('GET', '/api/v1/projects/p2', { as: 'member' });
    const none = await server.call('GET', '/api/v1/projects/p9', { as: 'member' });

    expect(list.body.items.map(({ id }: { id: string }) => id)).toEqual(['p1']);
    expect(other.status).toBe(404);
    const plain = ({ body }: typeof other) => ({ ...body.error, correlation_id: '', message: '' });
    expect(plain(other)).toEqual(plain(none));
  });
});

it.each([
  ['project', '/api/v1/projects', { name: 'three' }, 'display_name'],
  [
    'allocation',
    '/api/v1/allocations',
    { project_id: 'p1', shape: { gpu_count: 0, cpu_cores: 1, memory_gib: 1 } },
    'name',
  ],
  ['token', '/api/v1/tokens', { project_id: 'p1', role: 'viewer' }, 'name'],
])(
  'the name of a %s holds nothing that steers a terminal or turns what stands around it',
  async (_, path, body, field) => {
    for (const name of ['\u001b]0;x\u0007', 'a\nb', 'a\u0000', 'a\u202eb', '\u2066a\u2069', '\u009b31m']) {
      const { status, body: answer } = await server.call('POST', path, { body: { ...body, [field]: name } });
      expect([status, answer.error?.errors[0]?.path]).toEqual([400, `/${field}`]);
    }
  },
);
