/**
 * `POST /gpuaas/v1/projects/{project}/imports`: an image of one layer out of a tar, for that project alone.
 *
 * Its files are a stranger's, as those of any image; the engine lays them where none but containers of it find them. What the image
 * says of itself is of the gate's making: variables, a folder to begin in, and the labels that an image of ours has. It gets no
 * name, so it runs by its id, which is noted for its project and for no other.
 */
import { Readable } from 'node:stream';
import { AgentError } from '../contract/failures.ts';
import { buildLabels } from '../contract/names.ts';
import { judge, type PathError } from '../contract/validate.ts';
import { payloadKey } from '../policy/choose-payload.ts';
import { ImageConfig, importChanges, maxConfigLength } from '../policy/image-config.ts';
import { refuse } from '../policy/refusal.ts';
import { sendAnswer, sendJson } from './answers.ts';
import { plainTar } from './archives.ts';
import type { GateCall, GateContext } from './context.ts';
import { noteImage } from './note-image.ts';
import { readAnswer } from './upstream.ts';

const GiB = 2 ** 30;
/** What a tar has for each of its files beside what is in it: of a tar of files, at most as much as they. */
const headersBytes = 2 * GiB;
const mostMs = 3_600_000;
const inBase64 = /^[A-Za-z0-9+/]{0,16384}={0,2}$/;

export async function importImage(call: GateCall, gate: GateContext): Promise<void> {
  const { instance: project = '' } = call.params;
  const { payload = '' } = call.query;
  const { payloads } = gate.policy;
  if (!payloads) throw new AgentError('payload.denied');
  refuse([{ failure: 'policy.refused', errors: payload === '' ? [wrong('?payload', 'names no payload')] : [] }]);
  const config = configOf(call);
  const key = payloadKey(payload);
  await gate.builds.import(project, call.signal, async () => {
    const signal = AbortSignal.any([call.signal, AbortSignal.timeout(mostMs)]);
    const image = await importNow({ ...call, signal }, gate, {
      project,
      config,
      mostBytes: payloads.unpacked_gib * GiB,
    });
    if (image === undefined) return;
    await noteImage(image, { project, key, revision: key, payload, bases: [] }, gate, signal);
    sendJson(call.response, 200, { image });
  });
}

interface Wanted {
  readonly project: string;
  readonly config: ImageConfig;
  readonly mostBytes: number;
}

/** Undefined where the engine would not, and its answer was sent. */
async function importNow(
  { request, response, signal }: GateCall,
  gate: GateContext,
  { project, config, mostBytes }: Wanted,
): Promise<string | undefined> {
  if (request.headers.expect !== undefined) response.writeContinue();
  const tar = await plainTar(request);
  const stream = Readable.from(bounded(tar, mostBytes + headersBytes), { objectMode: false });
  let broken: unknown;
  stream.once('error', (error) => {
    broken = error;
  });
  const own = { [buildLabels.allocation]: gate.policy.allocation.id, [buildLabels.project]: project };
  const incoming = await gate.engine
    .stream({
      ...{ method: 'POST', path: '/images/create', stream, signal },
      query: { fromSrc: '-', changes: importChanges(config, own) },
      headers: { 'content-type': 'application/x-tar' },
    })
    .catch((error: unknown) => {
      throw broken ?? error;
    });
  if (!request.complete) response.setHeader('connection', 'close');
  const answer = await readAnswer(incoming, signal).catch((error: unknown) => {
    throw broken ?? error;
  });
  if (answer.status === 200) return imageIn(answer.body.toString());
  sendAnswer(response, answer);
  return undefined;
}

async function* bounded(tar: AsyncIterable<Buffer>, mostBytes: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of tar) {
    bytes += chunk.length;
    if (bytes > mostBytes)
      throw new AgentError('payload.unreadable', { reason: 'It is larger than this host unpacks.' });
    yield chunk;
  }
}

/** The engine's words, a line each: the last says which image has come of it. */
function imageIn(words: string): string {
  for (const line of words.split('\n').filter((text) => text.trim() !== '')) {
    const { status, error } = JSON.parse(line) as { status?: unknown; error?: unknown };
    if (error !== undefined) throw new AgentError('engine.failed', { reason: String(error).slice(0, 2000) });
    if (typeof status === 'string' && /^sha256:[0-9a-f]{64}$/.test(status)) return status;
  }
  throw new AgentError('engine.failed', { reason: 'The engine does not say what it has imported.' });
}

function configOf({ request }: GateCall): ImageConfig {
  const told = request.headers['x-gpuaas-image-config'];
  const path = 'X-Gpuaas-Image-Config';
  const text = typeof told === 'string' && inBase64.test(told) ? Buffer.from(told, 'base64').toString() : '';
  const judged = text.length > maxConfigLength ? undefined : judge(ImageConfig, parsed(text));
  if (judged?.ok) return judged.value;
  const errors = [wrong(path, 'is not what an image says of itself'), ...(judged?.errors ?? [])];
  throw new AgentError('policy.refused', { errors: errors.slice(0, 20).map((error) => ({ ...error })) });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function wrong(path: string, message: string): PathError {
  return { path, code: 'pattern', message };
}
