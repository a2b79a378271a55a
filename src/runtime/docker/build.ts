/**
 * Builds images by the engine's builder, behind the gate.
 *
 * Under one key, the same build is made once: the gate notes what came of it, and whoever asks again gets that. A build that
 * was begun twice costs little: the engine knows the steps that it has done.
 */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { AgentError, type FailureCode, type FailureDetail, failures } from '../../contract/failures.ts';
import type { BuildImage } from '../../contract/job-build.ts';
import { readLines } from '../../kit/lines.ts';
import type { ImageFacts } from '../../policy/container-request.ts';
import { canonicalJson } from '../../policy/container-spec.ts';
import type {
  BuildOptions,
  BuildRequest,
  BuiltSummary,
  HostBuilds,
  RemovedLayers,
  RemoveLayersOptions,
} from '../engine.ts';
import { orUndefined, parseAnswer } from './call-errors.ts';
import type { Calls } from './calls.ts';
import { assertRoom, watchRoom } from './disk-room.ts';
import { noSpace, readTrouble } from './engine-words.ts';
import { readFacts } from './facts.ts';
import { inspectImage } from './images.ts';

const maxLineBytes = 1024 * 1024;
const tailLength = 8 * 1024;

/** Undefined where nothing was built under that key, or the engine has it no more. */
export async function builtImage(
  calls: Calls,
  { projectId, source }: BuildRequest,
  signal: AbortSignal,
): Promise<ImageFacts | undefined> {
  return await keptImage(calls, { projectId, key: keyOf(source) }, signal);
}

/** What the gate has noted under that key. */
export async function keptImage(
  calls: Calls,
  { projectId, key }: { readonly projectId: string; readonly key: string },
  signal: AbortSignal,
): Promise<ImageFacts | undefined> {
  const path = `/gpuaas/v1/projects/${projectId}/builds/${key}`;
  const options = { call: 'image', timeoutMs: calls.timeouts.lookMs, signal };
  const record = await calls.run(options, async (_docker, abort) => {
    return await orUndefined(calls.transport.json({ method: 'GET', path, signal: abort }));
  });
  if (record === undefined) return undefined;
  const { image: id, engine } = record as { image: string; engine: string };
  const image = await inspectImage(calls, id, signal);
  return image && { ...image, builtFor: [projectId], builtBy: engine };
}

export async function builds(calls: Calls, signal: AbortSignal): Promise<HostBuilds> {
  const options = { call: 'image', timeoutMs: calls.timeouts.lookMs, signal };
  return await calls.run(options, async (_docker, abort) => {
    const call = { method: 'GET', path: '/gpuaas/v1/builds', signal: abort } as const;
    const { builds: images, unused_bytes: unusedBytes = 0 } = (await calls.transport.json(call)) as Listed;
    return { images, unusedBytes };
  });
}

interface Listed {
  readonly builds: BuiltSummary[];
  /** Absent from gates before this was said. */
  readonly unused_bytes?: number;
}

/** False if there was none. */
export async function removeBuilt(
  calls: Calls,
  { project_id, key }: Pick<BuiltSummary, 'project_id' | 'key'>,
  signal: AbortSignal,
): Promise<boolean> {
  const options = { call: 'image', timeoutMs: calls.timeouts.changeMs, signal };
  return await calls.run(options, async (_docker, abort) => {
    const call = { method: 'DELETE', path: `/gpuaas/v1/projects/${project_id}/builds/${key}`, signal: abort } as const;
    return (await orUndefined(calls.transport.json(call).then(() => true))) ?? false;
  });
}

export async function removeLayers(calls: Calls, { untilMs, signal }: RemoveLayersOptions): Promise<RemovedLayers> {
  const options = { call: 'image', timeoutMs: calls.timeouts.changeMs, signal };
  const query = untilMs === undefined ? {} : { until: Math.floor(untilMs / 1000) };
  return await calls.run(options, async (_docker, abort) => {
    const call = { method: 'DELETE', path: '/gpuaas/v1/builds/layers', query, signal: abort } as const;
    return (await calls.transport.json(call)) as RemovedLayers;
  });
}

/** `context` is read to its end or destroyed. */
export async function build(
  calls: Calls,
  request: BuildRequest,
  context: Readable,
  options: BuildOptions,
): Promise<ImageFacts> {
  const { projectId, source } = request;
  const words = new BuildWords(options);
  const ending = new AbortController();
  const end = (error: unknown) => ending.abort(error);
  const late = setTimeout(
    () => end(new AgentError('build.timed_out', { timeout_seconds: source.timeout_seconds, ...words.detail() })),
    source.timeout_seconds * 1000,
  );
  const signal = AbortSignal.any([options.signal, ending.signal]);
  const over = new AbortController();
  let rootDir = '';
  try {
    ({ rootDir } = await readFacts(calls, signal));
    await assertRoom(rootDir, { ...options, signal });
    watchRoom(rootDir, options, over.signal).catch(end);
    const query = {
      ...{ project: projectId, key: keyOf(source), revision: source.revision_sha256 },
      ...(request.network !== undefined && { network: request.network }),
    };
    const stream = await calls.open(
      { call: 'build', timeoutMs: Number.POSITIVE_INFINITY, signal },
      (_docker, abort) => {
        const headers = { 'content-type': 'application/x-tar' };
        return calls.transport.stream({
          method: 'POST',
          path: '/build',
          query,
          stream: context,
          headers,
          signal: abort,
        });
      },
    );
    for await (const line of readLines(stream.chunks(), maxLineBytes)) words.add(line);
    const built = await builtImage(calls, request, signal);
    if (!built) throw new AgentError('engine.failed', { call: 'build', reason: 'It has built nothing.' });
    return built;
  } catch (error) {
    throw asDiskFull(signal.aborted ? signal.reason : asUnsupported(error), words, rootDir);
  } finally {
    clearTimeout(late);
    over.abort();
    context.destroy();
  }
}

/** What decides the image: all of the source but how long it may take. */
function keyOf({ timeout_seconds: _, ...source }: BuildImage): string {
  return createHash('sha256').update(canonicalJson(source)).digest('hex');
}

/**
 * A disk that ran full, with the step that it was at. Of a command that finds no room there is nothing but what it has written: its
 * container is gone, and with it what has filled the disk, before the engine says that it has failed.
 */
function asDiskFull(error: unknown, words: BuildWords, path: string): unknown {
  if (!(error instanceof AgentError)) return error;
  const { tail, ...step } = words.detail();
  if (error.code === 'disk.full') {
    return new AgentError('disk.full', { ...step, tail, path, ...error.detail }, { cause: error });
  }
  if (error.code !== 'build.failed' || !noSpace.test(tail)) return error;
  const named = 'label' in step ? `The init command ${step.label}` : `Step ${step.step}, ${step.instruction},`;
  const reason = `${named} says that it has found no room: on the engine's disk, or in its own /dev/shm.`;
  return new AgentError('disk.full', { ...error.detail, path, reason }, { cause: error });
}

/**
 * An engine without the builder that is asked for says so in the place of an answer: as a version of it that it does not know,
 * or, where there is no such call any more, as `page not found`.
 */
function asUnsupported(error: unknown): unknown {
  const isMissing =
    error instanceof AgentError &&
    error.code === 'engine.failed' &&
    /buildkit|builder|page not found|not implemented/i.test(String(error.detail['reason'] ?? ''));
  return isMissing ? new AgentError('build.unsupported', error.detail, { cause: error }) : error;
}

interface BuildLine {
  readonly stream?: string;
  readonly error?: string;
  readonly errorDetail?: { readonly message?: string };
  /** Of the gate, which has ended it. */
  readonly code?: string;
  readonly detail?: FailureDetail;
}

/** The engine's words: which step it is at, what that writes, and how it failed. */
class BuildWords {
  readonly #options: BuildOptions;
  #step: { step: number; steps: number; text: string; label?: string } | undefined;
  /** With its colours, which have to be whole to be taken out: twice of what is told. */
  #tail = '';
  /** A CR that may be of the end of a line. */
  #held = '';

  constructor(options: BuildOptions) {
    this.#options = options;
  }

  detail() {
    const { step = 0, steps = 0, text = '', label } = this.#step ?? {};
    const named = label === undefined ? {} : { label };
    const tail = stripVTControlCharacters(this.#tail).slice(-tailLength);
    return { step, steps, instruction: text.slice(0, 1000), ...named, tail };
  }

  /** Throws what the engine says has failed. */
  add(text: string): void {
    if (text.trim() === '') return;
    const { stream, error, errorDetail, code = '', detail = {} } = parseAnswer<BuildLine>(text, 'build');
    if (Object.hasOwn(failures, code)) throw new AgentError(code as FailureCode, { ...this.detail(), ...detail });
    const failed = errorDetail?.message ?? error;
    if (failed !== undefined) {
      const trouble = readTrouble(failed);
      if (trouble) throw new AgentError(trouble.code, trouble.detail);
      throw new AgentError('build.failed', { ...this.detail(), reason: failed.slice(0, 2000) });
    }
    if (stream === undefined || (stream === '\n' && this.#held === '')) return;
    const [, step, steps, instruction = ''] = /^Step (\d+)\/(\d+) : (.*)$/.exec(stream) ?? [];
    if (step !== undefined && this.#isNext(Number(step), Number(steps))) {
      const label = this.#options.labelOf?.(Number(steps) - Number(step));
      this.#step = {
        step: Number(step),
        steps: Number(steps),
        text: instruction,
        ...(label !== undefined && { label }),
      };
      this.#tail = '';
      this.#held = '';
      this.#options.onProgress?.(this.#step);
      return;
    }
    const said = this.#withPlainEnds(stream);
    this.#tail = (this.#tail + said).slice(-2 * tailLength);
    if (said !== '') this.#options.onLog?.(said);
  }

  /** Ends of lines without their CR, also where that comes by itself. */
  #withPlainEnds(stream: string): string {
    const text = this.#held + stream;
    this.#held = text.endsWith('\r') ? '\r' : '';
    return text.slice(0, text.length - this.#held.length).replaceAll('\r\n', '\n');
  }

  /**
   * One after the other, of as many. What a command writes in these words is what it writes, unless it leaves out the end of the line,
   * as the engine does, and knows the number: then its author is told of a step that was not.
   */
  #isNext(step: number, steps: number): boolean {
    const { step: last, steps: all } = this.#step ?? { step: 0, steps };
    return step === last + 1 && steps === all;
  }
}
