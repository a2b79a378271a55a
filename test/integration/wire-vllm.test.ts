/**
 * vLLM as an app user has it, from the request to its end: the seeded profile over the public API and the commands, on a host
 * with two cards, with a server that takes its time to start. What answers is the stand-in of the ground, and the cards are
 * those of an engine and a driver's tool that take themselves for NVIDIA's; all else is real.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { containerName } from '../../src/contract/names.ts';
import { until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { engineWithCards } from '../support/engine-with-cards.ts';
import { eventually } from '../support/eventually.ts';
import type { RawContainer } from '../support/looking.ts';
import { nvidiaSmi } from '../support/nvidia-smi.ts';
import { openAiAt } from '../support/open-ai.ts';
import { contentsBelow, secretsIn } from '../support/secrets.ts';
import { type SshServer, startSshServer } from '../support/ssh-server.ts';
import { openWire, type Wire } from '../support/wire-ground.ts';
import { launchVllm, model, offerImage, publishVllm, type Served } from '../support/wire-vllm.ts';

const cards = ['GPU-0000000a', 'GPU-0000000b'];
let folder: string;
let engine: PrivateEngine;
let ssh: SshServer;
let wire: Wire;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpuaas-vllm-'));
  const smi = nvidiaSmi(
    join(folder, 'bin'),
    cards.map((uuid) => ({ uuid })),
  );
  [engine, ssh] = await Promise.all([engineWithCards(), startSshServer()]);
  wire = await openWire({
    engineSocket: engine.socketPath,
    allocation: { shape: { gpu_count: 2, cpu_cores: 400, memory_gib: 400 }, ssh: ssh.login },
    environment: { agent: { PATH: `${smi.folder}:${process.env['PATH']}` } },
  });
  await offerImage(wire.admin, engine.socketPath, 'openai', 'vllm-openai-cuda');
  await publishVllm(wire.admin, 'slow', { STAND_IN_START_SECONDS: '3' });
  await publishVllm(wire.admin, 'dies', { STAND_IN_FAULT: 'dies', STAND_IN_FAULT_AFTER: '1' });
  await publishVllm(wire.admin, 'broken', { STAND_IN_FAULT: 'dies_loading' });
  await publishVllm(wire.admin, 'stuck', { STAND_IN_FAULT: 'never_ready' });
});
afterAll(async () => {
  await wire?.close();
  await ssh?.close();
  await engine?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function act(action: string, id: string): Promise<void> {
  const { code, stderr } = await wire.member.cli('apps', 'instances', action, id).ended;
  if (code !== 0) throw new Error(stderr);
}

const container = async ({ id }: Served) =>
  (await engineCall<RawContainer>(engine.socketPath, 'GET', `/containers/${containerName(id, 'vllm')}/json`)).body;
const logsOf = async ({ id }: Served) => (await wire.member.cli('apps', 'instances', 'logs', id).ended).stdout;
const cardsOf = async ({ open }: Served) => (await open.ask('/stand-in')).body.cards as string[];

describe('a model server', () => {
  const hubToken = 'hf_of-this-test-alone';
  let served: Served;

  beforeAll(async () => {
    served = await launchVllm(wire, 'slow', { secrets: { hub_token: hubToken } });
    await wire.reaches(served.id, 'running');
  });

  it('is running when it answers, and not before', async () => {
    const { body } = await served.api.ask('/v1/models');
    const { stdout } = await wire.member.cli('apps', 'instances', 'logs', served.id).ended;

    expect(body.data).toMatchObject([{ id: model, owned_by: 'vllm' }]);
    expect(stdout).toContain('init engine took 3.00 seconds');
    expect(stdout).toContain(`cards: ${cards[0]}`);
  });

  it('answers a chat at once and word by word, to its key alone', async () => {
    const streamed = await served.api.stream(model, 'one two');

    expect(await served.api.chat(model, 'one two')).toBe('You said: one two');
    expect(streamed).toMatchObject({ pieces: ['You', ' said:', ' one', ' two'], finish: 'stop', isWhole: true });
    expect((await served.open.ask('/v1/models')).status).toBe(401);
    expect((await served.open.ask('/health')).status).toBe(200);
  });

  it('answers through the SSH tunnel that its owner is told (G-186)', async () => {
    const { access } = await wire.instance(served.id);
    const port = await ssh.tunnel(access[0].tunnel);
    const api = openAiAt(`http://127.0.0.1:${port}`, served.key);

    expect((await api.ask('/v1/models')).body.data).toMatchObject([{ id: model }]);
    expect(await api.chat(model, 'hello')).toBe('You said: hello');
    expect((await api.stream(model, 'hello')).isWhole).toBe(true);
  });

  it('has its key, the token of the hub and its caches, as the user of the allocation', async () => {
    const { body } = await served.open.ask('/stand-in');

    const hub_token_sha256 = createHash('sha256').update(hubToken).digest('hex');
    expect(body).toMatchObject({ cards: [cards[0]], uid: 61_902, gid: 61_902, model, hub_token_sha256 });
    const cache = join(wire.folder, 'home/gpuaas/workloads', served.id, 'workspace/huggingface/hub');
    expect(readdirSync(cache)).toEqual(['models--Qwen--Qwen2.5-7B-Instruct']);
  });

  it('keeps its card and its key over restart, stop and start', async () => {
    await act('restart', served.id);
    expect(await cardsOf(served)).toEqual([cards[0]]);
    await act('stop', served.id);
    await expect(served.open.ask('/health')).rejects.toThrow();
    await act('start', served.id);

    expect(await cardsOf(served)).toEqual([cards[0]]);
    expect(await served.api.chat(model, 'again')).toBe('You said: again');
  });

  it('leaves nothing when it is decommissioned', async () => {
    const home = join(wire.folder, 'home/gpuaas/workloads', served.id);
    expect(existsSync(home)).toBe(true);

    await act('decommission', served.id);

    expect(await wire.containers(served.id)).toEqual([]);
    expect(existsSync(home)).toBe(false);
    expect(await wire.instance(served.id)).toMatchObject({ state: 'decommissioned', failure: null });
  });
});

describe('two cards', () => {
  const refused = /launch.resources_exceed_allocation.*GPUs/;

  it('are one for each of two servers, none for a third, and free when one is gone', async () => {
    const [first, second] = await Promise.all([launchVllm(wire, 'slow'), launchVllm(wire, 'slow')]);
    await wire.reaches(first.id, 'running');
    await wire.reaches(second.id, 'running');
    const held = [...(await cardsOf(first)), ...(await cardsOf(second))];
    expect(held.toSorted()).toEqual(cards);
    await expect(launchVllm(wire, 'slow')).rejects.toThrow(refused);

    await act('stop', first.id);
    await expect(launchVllm(wire, 'slow')).rejects.toThrow(refused);
    await act('decommission', first.id);
    const third = await launchVllm(wire, 'slow');
    await wire.reaches(third.id, 'running');

    expect(await cardsOf(third)).toEqual([held[0]]);
    for (const { id } of [second, third]) await act('decommission', id);
  });

  it('are both for a server that spreads over two, whoever else asks', async () => {
    const served = await launchVllm(wire, 'slow', { config: { gpu_count: 2 } });
    await wire.reaches(served.id, 'running');

    const { body } = await served.open.ask('/stand-in');
    expect(body).toMatchObject({ cards, tensor_parallel_size: 2 });
    await expect(wire.launch({ gpu_count: 1 })).rejects.toThrow(refused);
    await act('decommission', served.id);
    const single = await wire.launch({ gpu_count: 1 });
    await wire.reaches(single.id, 'running');
    expect((await wire.inspect(single.id)).HostConfig['DeviceRequests']).toMatchObject([{ DeviceIDs: [cards[0]] }]);
    await act('decommission', single.id);
  });
});

describe('a server that takes its time', () => {
  it.each(['agent', 'server'] as const)('is not started twice when the %s is killed meanwhile', async (side) => {
    const served = await launchVllm(wire, 'slow');
    await until(async () => (await wire.containers(served.id))[0]?.State === 'running', 'the server to start');
    const before = await container(served);

    await wire[side].stop('SIGKILL');
    await wire[side].start();
    await wire.reaches(served.id, 'running');

    expect(await container(served)).toMatchObject({ Id: before.Id, State: { StartedAt: before.State.StartedAt } });
    expect(await served.api.chat(model, 'hello')).toBe('You said: hello');
    expect(await cardsOf(served)).toHaveLength(1);
    await act('decommission', served.id);
  });
});

describe('a server that fails', () => {
  it('while it loads is taken away, says why, and gives its card back', async () => {
    const served = await launchVllm(wire, 'broken', { config: { gpu_count: 2 } });

    const { failure } = await wire.reaches(served.id, 'failed');

    expect(failure).toMatchObject({ code: 'container.exited' });
    expect(JSON.stringify(failure)).toContain('CUDA out of memory');
    expect(await wire.containers(served.id)).toEqual([]);
    expect(await logsOf(served)).toContain('CUDA out of memory');
    const next = await launchVllm(wire, 'slow', { config: { gpu_count: 2 } });
    await wire.reaches(next.id, 'running');
    await act('decommission', next.id);
  });

  it('by never coming to its end of loading is given up at the time that was chosen', async () => {
    const served = await launchVllm(wire, 'stuck', { config: { start_timeout_seconds: 2 } });

    expect((await wire.reaches(served.id, 'failed')).failure).toMatchObject({ code: 'readiness.timed_out' });
    expect(await wire.containers(served.id)).toEqual([]);
  });

  it('in its work is started again with the same card', async () => {
    const served = await launchVllm(wire, 'dies');
    await wire.reaches(served.id, 'running');
    const held = await cardsOf(served);

    expect(await served.api.chat(model, 'last words')).toBe('You said: last words');
    await eventually(async () => expect((await wire.instance(served.id)).members[0].restarts).toBe(1));
    await wire.reaches(served.id, 'running');

    expect(await cardsOf(served)).toEqual(held);
    await act('decommission', served.id);
  });
});

describe('no secret of a server', () => {
  it('is anywhere but where it belongs: not in files, logs, answers, arguments or results', async () => {
    const hubToken = 'hf_canary-of-this-test-that-is-long-enough';
    const served = await launchVllm(wire, 'slow', { secrets: { hub_token: hubToken } });
    await wire.reaches(served.id, 'running');
    const secrets = { 'API key': served.key, 'token of the hub': hubToken };
    await act('restart', served.id);
    const commands = [
      ['apps', 'instances', 'describe', served.id],
      ['apps', 'instances', 'events', served.id],
      ['apps', 'instances', 'list', '--json'],
    ];
    const printed = await Promise.all(commands.map((command) => wire.member.cli(...command).ended));
    const answers = [];
    for (const path of ['', '/topology', '/events', '/metrics']) {
      answers.push(await wire.admin.call('GET', `/api/v1/app-instances/${served.id}${path}`));
    }

    const files = contentsBelow(wire.folder)
      .filter(([, content]) => secretsIn(content, secrets).length > 0)
      .map(([file]) => file)
      .toArray();
    expect(files).toEqual([]);
    expect(secretsIn(wire.logs() + (await logsOf(served)) + JSON.stringify([answers, printed]), secrets)).toEqual([]);
    for (const { pid } of [wire.server, wire.agent, wire.gate]) {
      expect(secretsIn(readFileSync(`/proc/${pid}/cmdline`), secrets)).toEqual([]);
      expect(secretsIn(readFileSync(`/proc/${pid}/environ`), secrets)).toEqual([]);
    }
    const { Config, State } = await container(served);
    // vLLM takes its key by argument or by variable only; of the two the host's other users can read the first.
    expect(secretsIn(JSON.stringify({ ...Config, Env: [] }), secrets)).toEqual([]);
    expect(secretsIn(Config.Env.join(), secrets)).toEqual(['API key']);
    expect(secretsIn(readFileSync(`/proc/${State.Pid}/cmdline`), secrets)).toEqual([]);
    const mounted = contentsBelow(`/proc/${State.Pid}/root/run/secrets`).map(([, content]) => content.toString());
    expect(mounted.toArray()).toEqual([hubToken]);
    await act('decommission', served.id);
  });
});
