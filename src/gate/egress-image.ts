/**
 * The image of the proxies, made on this host out of this very program: it needs no registry, and is always of the version that runs.
 *
 * Its tar is the same for the same files, so its id is known before the engine has it; the engine is given it only where it has it not.
 * What is loaded is written down, and taken away when another version runs.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { AgentError } from '../contract/failures.ts';
import { writeDurable } from '../kit/durable.ts';
import type { Log } from '../kit/log.ts';
import { fileEntry, headOf, padding } from '../kit/tarball/write-tar.ts';
import { type EgressProgram, egressProgram, type ProgramFile } from './egress-program.ts';
import type { ImageObject } from './engine-objects.ts';
import { engineMessage } from './sealed-containers.ts';
import type { Upstream } from './upstream.ts';

export interface MadeImage {
  /** As the engine calls it. */
  readonly id: string;
  readonly command: readonly string[];
}

interface Measured {
  readonly program: EgressProgram;
  readonly layer: { readonly sha256: string; readonly bytes: number };
  /** The configuration of the image: its hash is the id. */
  readonly config: Buffer;
  readonly id: string;
}

const endOfTar = Buffer.alloc(1024);
const readBytes = 1024 * 1024;
const processors = { x64: 'amd64', arm64: 'arm64' } as const;

export class EgressImage {
  readonly #engine: Upstream;
  readonly #log: Log;
  readonly #program: () => Promise<EgressProgram>;
  readonly #record: string | undefined;
  #measured: Promise<Measured> | undefined;

  /** `stateDir`: where it is written down what was loaded; nowhere if undefined. */
  constructor(engine: Upstream, log: Log, stateDir: string | undefined, program = egressProgram) {
    this.#program = program;
    this.#engine = engine;
    this.#log = log;
    this.#record = stateDir === undefined ? undefined : join(stateDir, 'egress-images.json');
  }

  /** Resolves when the engine has it. Not to be asked twice at once. */
  async ensure(signal: AbortSignal): Promise<MadeImage> {
    const measured = await this.#measure();
    const { command } = measured.program;
    const known = await this.#find(measured, signal);
    if (known !== undefined) return { id: known, command };
    await this.#note([...(await this.#noted()), measured.id]);
    const id = await this.#loaded(measured, signal).catch((error: unknown) => {
      // Files that were replaced since they were measured make another image: they are measured again.
      this.#measured = undefined;
      throw error;
    });
    this.#log.info({ image: id }, 'image of the proxies was made');
    await this.#removeOthers(measured, signal);
    return { id, command };
  }

  /** Reads all files once; again after that, or a load, went wrong. */
  #measure(): Promise<Measured> {
    this.#measured ??= measure(this.#program).catch((error: unknown) => {
      this.#measured = undefined;
      const reason = error instanceof Error ? error.message : String(error);
      throw new AgentError('egress.unavailable', { reason: `Its image cannot be made: ${reason}` }, { cause: error });
    });
    return this.#measured;
  }

  /** By its id, or by its name where an engine has ids of another kind: then by what it is made of. */
  async #find({ id, layer }: Measured, signal: AbortSignal): Promise<string | undefined> {
    for (const name of [id, nameOf(id)]) {
      const answer = await this.#engine.ask({ method: 'GET', path: `/images/${name}/json`, signal });
      if (answer.status === 404) continue;
      if (answer.status !== 200) {
        throw new AgentError('engine.failed', { status: answer.status, reason: engineMessage(answer) });
      }
      const found = JSON.parse(answer.body.toString()) as ImageObject;
      const layers = found.RootFS?.Layers ?? [];
      if (layers.length === 1 && layers[0] === `sha256:${layer.sha256}`) return found.Id;
    }
    return undefined;
  }

  async #loaded(measured: Measured, signal: AbortSignal): Promise<string> {
    await this.#load(measured, signal);
    const id = await this.#find(measured, signal);
    if (id === undefined) throw new AgentError('egress.unavailable', { reason: 'The engine did not keep its image.' });
    return id;
  }

  async #load(measured: Measured, signal: AbortSignal): Promise<void> {
    const stream = Readable.from(archiveOf(measured), { objectMode: false });
    const answer = await this.#engine.ask({
      ...{ method: 'POST', path: '/images/load', query: { quiet: '1' }, stream, signal },
      headers: { 'content-type': 'application/x-tar' },
    });
    // The engine says in the body of its answer what went wrong once it had begun.
    const text = answer.body.toString();
    if (answer.status === 200 && !text.includes('"error"')) return;
    throw new AgentError('egress.unavailable', { reason: `The engine does not load its image: ${text.slice(0, 512)}` });
  }

  /** Those of other versions; one that a container still has stays, and goes another time. */
  async #removeOthers({ id }: Measured, signal: AbortSignal): Promise<void> {
    const left: string[] = [];
    for (const other of new Set(await this.#noted())) {
      if (other === id) continue;
      const answer = await this.#engine.ask({ method: 'DELETE', path: `/images/${nameOf(other)}`, signal });
      if (answer.status !== 200 && answer.status !== 404) left.push(other);
    }
    await this.#note([...left, id]);
  }

  async #noted(): Promise<string[]> {
    if (this.#record === undefined) return [];
    const text = await readFile(this.#record, 'utf8').catch(() => '[]');
    const ids: unknown = JSON.parse(text);
    return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string' && /^sha256:[0-9a-f]{64}$/.test(id)) : [];
  }

  async #note(ids: readonly string[]): Promise<void> {
    if (this.#record !== undefined) writeDurable(this.#record, JSON.stringify([...new Set(ids)]), 0o600);
  }
}

function nameOf(id: string): string {
  return `gpuaas-egress:${id.slice('sha256:'.length, 'sha256:'.length + 16)}`;
}

async function measure(programOf: () => Promise<EgressProgram>): Promise<Measured> {
  const program = await programOf();
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of layerOf(program)) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  const sha256 = hash.digest('hex');
  const config = Buffer.from(
    JSON.stringify({
      ...{ architecture: processors[process.arch as keyof typeof processors] ?? process.arch, os: 'linux' },
      ...{ created: '1970-01-01T00:00:00Z', config: {}, rootfs: { type: 'layers', diff_ids: [`sha256:${sha256}`] } },
      history: [{ created: '1970-01-01T00:00:00Z', created_by: 'gpuaas-node-agent' }],
    }),
  );
  const id = `sha256:${createHash('sha256').update(config).digest('hex')}`;
  return { program, layer: { sha256, bytes }, config, id };
}

/** Folders first: an engine makes those that are missing for root alone. */
async function* layerOf({ files }: EgressProgram): AsyncGenerator<Buffer> {
  const folders = new Set(files.flatMap(({ path }) => foldersAbove(path)));
  for (const path of [...folders].sort()) {
    yield headOf({ ...plain, path, type: 'directory', mode: 0o755, size: 0 }, path);
  }
  for (const file of files) yield* entryOf(file);
  yield endOfTar;
}

const plain = { offset: 0, target: '' } as const;

function foldersAbove(path: string): string[] {
  const parts = path.split('/').slice(1, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

async function* entryOf({ path, from }: ProgramFile): AsyncGenerator<Buffer> {
  const name = path.slice(1);
  const size = 'text' in from ? Buffer.byteLength(from.text) : (await stat(from.file)).size;
  yield headOf({ ...plain, path: name, type: 'file', mode: 0o755, size }, name);
  if ('text' in from) yield Buffer.from(from.text);
  else if (size > 0) {
    // Not beyond what was said: a file that grows meanwhile makes another hash, and is refused by the engine.
    yield* createReadStream(from.file, { highWaterMark: readBytes, end: size - 1 }) as AsyncIterable<Buffer>;
  }
  yield padding(size);
}

/** As `docker save` writes it. */
async function* archiveOf({ program, layer, config, id }: Measured): AsyncGenerator<Buffer> {
  const name = `${id.slice('sha256:'.length)}.json`;
  const layerName = 'layer.tar';
  yield fileEntry(name, config);
  yield fileEntry(
    'manifest.json',
    Buffer.from(JSON.stringify([{ Config: name, RepoTags: [nameOf(id)], Layers: [layerName] }])),
  );
  yield headOf({ ...plain, path: layerName, type: 'file', mode: 0o644, size: layer.bytes }, layerName);
  yield* layerOf(program);
  yield padding(layer.bytes);
  yield endOfTar;
}
