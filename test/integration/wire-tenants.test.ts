/** Two projects on one control plane, with a real host behind it: neither sees or touches what is the other's. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../support/daemon-ground.ts';
import { openWire, type Wire } from '../support/wire-ground.ts';

let wire: Wire;
let id: string;

beforeAll(async () => {
  wire = await openWire();
  id = (await wire.launch()).id;
  await wire.reaches(id, 'running');
});
afterAll(async () => await wire?.close());

/** An error without what differs from one request to the next. */
const plain = ({ error }: { error: Record<string, unknown> }, asked: string) =>
  JSON.stringify({ ...error, correlation_id: '' }).replaceAll(asked, 'ID');

describe('a member of another project', () => {
  const paths = ['', '/events', '/logs', '/metrics', '/topology'];

  it.each(paths)('finds an instance as if there were none: GET …%s', async (path) => {
    const theirs = await wire.stranger.call('GET', `/api/v1/app-instances/${id}${path}`);
    const none = await wire.stranger.call('GET', `/api/v1/app-instances/nothing${path}`);

    expect([theirs.status, none.status]).toEqual([404, 404]);
    expect(plain(theirs.body, id)).toBe(plain(none.body, 'nothing'));
  });

  it.each(['stop', 'start', 'restart', 'decommission'])('cannot %s it, and it runs on', async (action) => {
    const { Id, State } = await wire.inspect(id);

    const { status } = await wire.stranger.call('POST', `/api/v1/app-instances/${id}/actions`, { action });

    expect(status).toBe(404);
    const after = await wire.inspect(id);
    expect([after.Id, after.State.Pid]).toEqual([Id, State.Pid]);
    expect((await wire.instance(id)).state).toBe('running');
  });

  it('cannot launch on the allocation, and does not learn that it is there', async () => {
    const body = await wire.request();
    const nowhere = { ...body, placement_intent: { target_allocation_id: '01a20000-0000-7000-8000-000000000000' } };

    const theirs = await wire.stranger.call('POST', '/api/v1/app-instances', body);
    const none = await wire.stranger.call('POST', '/api/v1/app-instances', nowhere);

    expect(theirs.status).toBeGreaterThanOrEqual(400);
    expect(plain(theirs.body, wire.allocationId)).toBe(plain(none.body, '01a20000-0000-7000-8000-000000000000'));
  });

  it('has empty lists, whatever they are asked for', async () => {
    const lists = ['app-instances', 'allocations', 'nodes', `app-instances?allocation_id=${wire.allocationId}`];

    const answers = await Promise.all(lists.map((list) => wire.stranger.call('GET', `/api/v1/${list}`)));
    const projects = await wire.stranger.call('GET', '/api/v1/projects');

    expect(answers.map(({ status, body }) => [status, body.items])).toEqual(lists.map(() => [200, []]));
    expect(projects.body.items.map((project: { name: string }) => project.name)).toEqual(['second']);
  });

  it('finds neither node, allocation nor project, and can make no join token', async () => {
    const asked = [`nodes/${wire.nodeId}`, `allocations/${wire.allocationId}`, `projects/${wire.projectId}`];

    const answers = await Promise.all(asked.map((path) => wire.stranger.call('GET', `/api/v1/${path}`)));
    const token = await wire.stranger.call('POST', '/api/v1/nodes/join-tokens', { allocation_id: wire.allocationId });

    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
    expect(token.status).toBe(403);
  });

  it('hears of nothing in the stream of events while the other one works', async () => {
    const ending = new AbortController();
    const headers = { authorization: `Bearer ${wire.stranger.token}`, 'last-event-id': '0' };
    const answer = await fetch(`${wire.url}/api/v1/events`, { headers, signal: ending.signal });
    let heard = '';
    const reading = (async () => {
      for await (const chunk of answer.body ?? []) heard += Buffer.from(chunk).toString();
    })().catch(() => undefined);

    await wire.member.cli('apps', 'instances', 'restart', id).ended;
    await wire.stranger.call('POST', '/api/v1/tokens', {
      name: 'a sign of life',
      role: 'viewer',
      project_id: await own(),
    });
    await until(() => heard.includes('token.created'), 'an event of its own');
    ending.abort();
    await reading;

    expect(heard).not.toContain(id);
    expect(heard).not.toContain(wire.nodeId);
    expect(heard).not.toContain(wire.projectId);
  });

  it('gets the same from the CLI: not there, exit status 3', async () => {
    const answers = await Promise.all(
      ['describe', 'logs', 'events'].map((verb) => wire.stranger.cli('apps', 'instances', verb, id).ended),
    );

    expect(answers.map(({ code, stdout }) => [code, stdout])).toEqual(answers.map(() => [3, '']));
  });
});

async function own(): Promise<string> {
  return (await wire.stranger.call('GET', '/api/v1/projects')).body.items[0].id;
}
