/** The image `openai` of the development ground: what the tests of vLLM take for granted about it. */
import { createHash } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { containerLog, removeContainer, startContainer, waitContainer } from '../../bootstrap/dev/containers.ts';
import { askEngine } from '../../bootstrap/dev/engine-api.ts';
import { ensureGround } from '../../bootstrap/dev/ground.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import { engineWithCards } from '../support/engine-with-cards.ts';
import { eventually } from '../support/eventually.ts';
import { type OpenAi, openAiAt } from '../support/open-ai.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const prefix = `openai-${crypto.randomUUID().slice(0, 8)}`;
const cards = 'NVIDIA_VISIBLE_DEVICES=GPU-a,GPU-b';
const key = 'sk-of-this-test';
const names: string[] = [];
const own = temporaryFolder('openai-image');
let socketPath: string;
let image: string;

beforeAll(async () => {
  const { engine, images } = await ensureGround(['openai']);
  socketPath = engine.socketPath;
  image = images.openai.reference;
});
afterAll(async () => {
  for (const name of names) await removeContainer(socketPath, name);
});

interface Serving {
  readonly env?: readonly string[];
  readonly args?: readonly string[];
  readonly host?: Readonly<Record<string, unknown>>;
}

/** Starts the server as somebody whom the image does not know. */
async function start({ env = [], args = [], host = {} }: Serving = {}): Promise<string> {
  const name = `${prefix}-${names.length}`;
  names.push(name);
  await startContainer(socketPath, name, {
    ...{ Image: image, Cmd: ['org/model', '--served-model-name', 'm', ...args], User: '54321:54321' },
    Env: [cards, 'HOME=/tmp', `VLLM_API_KEY=${key}`, 'STAND_IN_TOKEN_SECONDS=0', ...env],
    HostConfig: {
      ...{ CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges'], Init: true },
      ...{ PortBindings: { '8000/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] }, ...host },
    },
  });
  return name;
}

async function originOf(name: string): Promise<string> {
  interface Inspected {
    readonly NetworkSettings: { readonly Ports: Readonly<Record<string, readonly { readonly HostPort: string }[]>> };
  }
  const { NetworkSettings } = await askEngine<Inspected>({
    socketPath,
    method: 'GET',
    path: `/containers/${name}/json`,
  });
  return `http://127.0.0.1:${NetworkSettings.Ports['8000/tcp']?.[0]?.HostPort}`;
}

const says = (name: string, text: string) =>
  eventually(async () => expect(await containerLog(socketPath, name)).toContain(text));

async function ready(
  serving: Serving = {},
): Promise<{ readonly name: string; readonly api: OpenAi; readonly open: OpenAi }> {
  const name = await start(serving);
  await says(name, 'Application startup complete.');
  const origin = await originOf(name);
  return { name, api: openAiAt(origin, key), open: openAiAt(origin) };
}

const ended = async (name: string) => await waitContainer(socketPath, name, 100);

describe('the server', () => {
  it('keeps its port closed until its engine is there', async () => {
    const name = await start({ env: ['STAND_IN_FAULT=never_ready'] });
    const later = await start({ env: ['STAND_IN_START_SECONDS=2'] });

    await says(name, 'Loading safetensors');
    await expect(openAiAt(await originOf(name)).ask('/health')).rejects.toThrow('fetch failed');
    await says(later, 'init engine took 2.00 seconds');

    const open = openAiAt(await originOf(later));
    await eventually(async () => expect((await open.ask('/health')).status).toBe(200));
  });

  it('asks for its key at /v1 and nowhere else', async () => {
    const { api, open } = await ready();
    const routes = ['/health', '/metrics', '/version', '/stand-in', '/v1/models', '/v1/nothing', '/nothing'];
    const statuses = async (as: OpenAi) => {
      const answers = [];
      for (const route of routes) answers.push((await as.ask(route)).status);
      return answers;
    };

    expect(await statuses(api)).toEqual([200, 200, 200, 200, 200, 404, 404]);
    expect(await statuses(open)).toEqual([200, 200, 200, 200, 401, 401, 404]);
    expect((await open.ask('/v1/chat/completions', {})).body).toEqual({ error: 'Unauthorized' });
    expect((await api.ask('/v1/chat/completions')).body).toEqual({ detail: 'Method Not Allowed' });
  });

  it('answers as OpenAI does, at once or word by word', async () => {
    const { api, open } = await ready();

    const { body } = await api.ask('/v1/chat/completions', {
      model: 'm',
      messages: [{ role: 'user', content: 'one two' }],
    });
    const streamed = await api.stream('m', 'one two');
    const cut = await api.stream('m', 'one two three', { max_tokens: 4 });
    const text = await api.ask('/v1/completions', { model: 'm', prompt: 'a b' });

    expect(body).toMatchObject({
      ...{ id: expect.stringMatching(/^chatcmpl-/), object: 'chat.completion', model: 'm' },
      choices: [{ index: 0, message: { role: 'assistant', content: 'You said: one two' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 2, completion_tokens: 4, total_tokens: 6 },
    });
    const usage = { prompt_tokens: 2, completion_tokens: 4, total_tokens: 6 };
    expect(streamed).toEqual({ pieces: ['You', ' said:', ' one', ' two'], finish: 'stop', usage, isWhole: true });
    expect(cut).toMatchObject({ pieces: ['You', ' said:', ' one', ' two'], finish: 'length', isWhole: true });
    expect(text.body).toMatchObject({ object: 'text_completion', choices: [{ text: 'You said: a b' }] });
    expect((await open.ask('/metrics')).body).toContain('vllm:generation_tokens_total{engine="0",model_name="m"} 16.0');
  });

  it.each([
    [
      'what it does not serve',
      { model: 'x', messages: [{ role: 'user', content: 'a' }] },
      404,
      'NotFoundError',
      'The model `x` does not exist.',
    ],
    [
      'nothing to answer',
      { model: 'm' },
      400,
      'Bad Request',
      "[{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required'}]",
    ],
    [
      'more than fits',
      { model: 'm', messages: [{ role: 'user', content: 'a' }], max_tokens: 99 },
      400,
      'BadRequestError',
      "This model's maximum context length is 32 tokens. However, you requested 100 tokens (1 in the messages, 99 in the completion).",
    ],
  ])('refuses %s with an error as OpenAI has them', async (_what, request, status, type, message) => {
    const { api } = await ready({ args: ['--max-model-len=32'] });

    const answer = await api.ask('/v1/chat/completions', request);

    expect(answer).toMatchObject({ status, body: { error: { message, type, code: status } } });
  });

  it('says which cards it sees, whose token it has, and as whom it runs', async () => {
    const { name, open } = await ready({ env: ['HF_TOKEN=hf_secret'], args: ['--tensor_parallel_size=2'] });

    const { body } = await open.ask('/stand-in');

    const hub_token_sha256 = createHash('sha256').update('hf_secret').digest('hex');
    expect(body).toMatchObject({ cards: ['GPU-a', 'GPU-b'], uid: 54321, gid: 54321, hub_token_sha256 });
    const log = await containerLog(socketPath, name);
    expect(log).toContain('cards: GPU-a, GPU-b');
    expect(log).not.toMatch(new RegExp(`hf_secret|${key}`));
  });

  it('keeps its caches where it is told to', async () => {
    const cache = join(own, 'cache');
    mkdirSync(cache);
    chownSync(cache, 54_321, 54_321);
    writeFileSync(join(own, 'token'), 'from a file\n');
    const env = ['HF_HOME=/cache/hf', 'VLLM_CACHE_ROOT=/cache/vllm', 'HF_TOKEN_PATH=/token'];

    const { open } = await ready({ env, host: { Binds: [`${cache}:/cache`, `${join(own, 'token')}:/token:ro`] } });

    expect(existsSync(join(cache, 'hf/hub/models--org--model/refs/main'))).toBe(true);
    expect(existsSync(join(cache, 'vllm/torch_compile_cache/stand-in'))).toBe(true);
    const hub_token_sha256 = createHash('sha256').update('from a file').digest('hex');
    expect((await open.ask('/stand-in')).body).toMatchObject({ hub_token_sha256 });
  });

  it('ends politely when it is asked to, also while it starts', async () => {
    const loading = await start({ env: ['STAND_IN_FAULT=never_ready'] });
    const { name } = await ready();
    await says(loading, 'Loading safetensors');

    for (const each of [loading, name])
      await askEngine({ socketPath, method: 'POST', path: `/containers/${each}/stop?t=60` });

    expect(await ended(loading)).toBe(0);
    expect(await ended(name)).toBe(0);
  });
});

describe('it does not start', () => {
  it.each([
    [
      'with an argument that it does not know',
      { args: ['--trust-remote-code'] },
      2,
      'unrecognized arguments: --trust-remote-code',
    ],
    ['with the beginning of an argument', { args: ['--max-model=9'] }, 2, 'unrecognized arguments: --max-model=9'],
    [
      'on more cards than there are',
      { args: ['--tensor-parallel-size=3'] },
      1,
      'World size (3) is larger than the number of available GPUs (2)',
    ],
    ['without a card', { env: ['NVIDIA_VISIBLE_DEVICES=void'] }, 1, 'Failed to infer device type'],
    ['without a place for its caches', { env: ['HF_HOME=/root/cache'] }, 1, 'PermissionError'],
    ['when it runs out of memory on the card', { env: ['STAND_IN_FAULT=dies_loading'] }, 1, 'CUDA out of memory'],
  ])('%s', async (_how, serving: Serving, code, words) => {
    const name = await start(serving);

    expect(await ended(name)).toBe(code);
    expect(await containerLog(socketPath, name)).toContain(words);
  });
});

describe('it fails', () => {
  it('by ending, after as many answers as it is told', async () => {
    const { name, api } = await ready({ env: ['STAND_IN_FAULT=dies', 'STAND_IN_FAULT_AFTER=2'] });

    expect(await api.chat('m', 'once')).toBe('You said: once');
    expect(await api.chat('m', 'twice')).toBe('You said: twice');

    expect(await ended(name)).toBe(1);
  });

  it('by an engine that is dead while the server answers', async () => {
    const { api, open } = await ready({ env: ['STAND_IN_FAULT=engine_dead', 'STAND_IN_FAULT_AFTER=1'] });
    expect((await open.ask('/health')).status).toBe(200);

    await api.chat('m', 'once');

    await eventually(async () => expect((await open.ask('/health')).status).toBe(503));
    await expect(api.chat('m', 'again')).rejects.toThrow('500');
    expect((await api.ask('/v1/models')).status).toBe(200);
  });

  it('by eating its memory', async () => {
    const limits = { Memory: 2 ** 26, MemorySwap: 2 ** 26 };
    const name = await start({ env: ['STAND_IN_FAULT=eats_memory'], host: limits });

    expect(await ended(name)).toBe(137);
  });
});

it('sees the cards that an engine gave it by their ids', async () => {
  const engine = await engineWithCards();
  try {
    const { host } = await ensureRegistry();
    const { reference } = await ensureImage({ socketPath: engine.socketPath, host }, 'openai');
    const name = `${prefix}-cards`;
    const request = { Driver: 'nvidia', DeviceIDs: ['GPU-a', 'GPU-b'], Capabilities: [['gpu', 'compute', 'utility']] };

    await startContainer(engine.socketPath, name, {
      ...{ Image: reference, Cmd: ['m', '--tensor-parallel-size=3'], HostConfig: { DeviceRequests: [request] } },
    });

    expect(await waitContainer(engine.socketPath, name, 100)).toBe(1);
    const log = await containerLog(engine.socketPath, name);
    expect(log).toContain('cards: GPU-a, GPU-b');
    expect(log).toContain('World size (3) is larger than the number of available GPUs (2)');
  } finally {
    await engine.stop();
  }
});
