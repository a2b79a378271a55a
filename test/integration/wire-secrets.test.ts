/**
 * Every secret of the wire is looked for everywhere but where it belongs: files of control plane,
 * agent and gate, what the processes log, every answer of the API, arguments and environments of processes, the engine.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentsBelow, privatePart, secretOf, secretsIn } from '../support/secrets.ts';
import { openWire, type Wire } from '../support/wire-ground.ts';

let wire: Wire;
let id: string;
let endpointToken: string;
/** Name → secret. */
let secrets: Readonly<Record<string, string>>;
/** What people at a terminal saw, or wrote to a file of theirs. */
let printed: string;

beforeAll(async () => {
  wire = await openWire();
  const launched = await wire.launch();
  id = launched.id;
  endpointToken = launched.credentials[0].token;
  await wire.reaches(id, 'running');
  const failed = await wire.launch({ mode: 'fail' });
  await wire.reaches(failed.id, 'failed');
  const { config } = await wire.request();
  const command = ['launch', 'web', '--allocation', wire.allocationId, '--no-wait', '--json'];
  const port = `host_port=${(config as { host_port: number }).host_port}`;
  const byCommand = JSON.parse((await wire.member.cli('apps', 'instances', ...command, '--set', port).ended).stdout);
  await wire.reaches(byCommand.id, 'running');
  secrets = {
    'token of the endpoint': endpointToken,
    'token that may be shown again under its Idempotency-Key': byCommand.credentials[0].token,
    'token of the admin': secretOf(wire.admin.token),
    'token of the member': secretOf(wire.member.token),
    'join token': wire.joinToken.split('.')[1] ?? '',
    'identity key of the node': privatePart(join(wire.folder, 'state/identity')),
  };
  const commands = [
    ['apps', 'instances', 'describe', id],
    ['apps', 'instances', 'events', id],
    ['apps', 'instances', 'logs', id],
    ['apps', 'instances', 'list', '--json'],
  ];
  const ended = await Promise.all(commands.map((command) => wire.member.cli(...command).ended));
  printed = ended.map(({ stdout, stderr }) => stdout + stderr).join('\n');
  await wire.agent.stop();
  await wire.agent.start();
});
afterAll(async () => await wire?.close());

const found = (text: string | Buffer) => secretsIn(text, secrets);

describe('no secret', () => {
  it('is one that this test would not find', () => {
    for (const [name, secret] of Object.entries(secrets)) {
      expect(secret.length, name).toBeGreaterThan(30);
      expect(found(`before ${secret} after`)).toEqual([name]);
    }
  });

  it('is in a file of control plane, agent, gate or workload, but the keys in their own (G-160, G-210, G-214)', () => {
    const leaks = contentsBelow(wire.folder)
      .map(([file, content]) => [file.slice(wire.folder.length + 1), found(content)] as const)
      .toArray();

    expect(leaks.map(([file]) => file.split('/').at(-1))).toEqual(
      expect.arrayContaining(['control-plane.db', 'agent.db', expect.stringMatching(/\.ndjson$/)]),
    );
    const own = leaks.filter(([, names]) => names.length > 0);
    expect(own).toEqual([[expect.stringMatching(/^state\/identity\//), ['identity key of the node']]]);
  });

  it('is in what the processes log', () => {
    expect(wire.logs()).toContain('task taken');
    expect(found(wire.logs())).toEqual([]);
  });

  it('is in what the commands print', () => {
    expect(printed).toContain(id);
    expect(found(printed)).toEqual([]);
  });

  it('is in any answer that the API gives to an admin', async () => {
    const { paths } = (await wire.admin.call('GET', '/openapi.json')).body;
    const ids: Record<string, string> = {
      ...{ instance_id: id, node_id: wire.nodeId, allocation_id: wire.allocationId, project_id: wire.projectId },
      ...{ slug: 'web', version: '1.0' },
      artifact_id: (await wire.admin.call('GET', '/api/v1/artifacts')).body.items[0].id,
    };
    const readable = Object.entries(paths as Record<string, object>)
      .filter(([path, methods]) => 'get' in methods && path !== '/api/v1/events')
      .map(([path]) => path.replaceAll(/\{(\w+)\}/g, (_, name) => ids[name] ?? name));
    const events = '/api/v1/app-instances/'.concat(id, '/events');

    const answers = [];
    for (const path of readable) answers.push([path, await wire.admin.call('GET', path)] as const);

    expect(readable).toContain(events);
    expect(answers.filter(([, { status }]) => status === 200).length).toBeGreaterThan(12);
    expect(answers.filter(([, { body }]) => found(JSON.stringify(body)).length > 0).map(([path]) => path)).toEqual([]);
  });

  it('is in the arguments or the environment of a process of ours', () => {
    for (const { pid } of [wire.server, wire.agent, wire.gate]) {
      expect(found(readFileSync(`/proc/${pid}/cmdline`))).toEqual([]);
      expect(found(readFileSync(`/proc/${pid}/environ`))).toEqual([]);
    }
  });

  it('is in what the engine tells of the container; the workload has it as a file in memory', async () => {
    const raw = await wire.inspect(id);

    expect(found(JSON.stringify(raw))).toEqual([]);
    const root = `/proc/${raw.State.Pid}/root`;
    const environment = readFileSync(`/proc/${raw.State.Pid}/environ`, 'utf8').split('\0');
    expect(found(environment.join('\n'))).toEqual([]);
    const file = environment.find((line) => line.startsWith('WEB_TOKEN_FILE='))?.split('=')[1] ?? '';
    expect(readFileSync(`${root}${file}`, 'utf8')).toBe(endpointToken);
  });
});
