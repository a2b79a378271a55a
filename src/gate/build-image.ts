/**
 * `POST /build`: an image from a Dockerfile in the form of `renderDockerfile`, by the engine's own builder.
 *
 * What is judged here does not depend on who asks: every line of the Dockerfile, each base as the engine has it, the tar. The
 * builder gets no secret and no more than the operator's share of memory, processors and time, and pulls nothing; no network
 * either, or that of its job where the operator allows it. Builds beyond those that may be at work wait, unread. What the engine has
 * done before for another project is not used again, so that nobody learns what others have. What comes out is noted with what it was
 * made of; only so it may run, and only for its project.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { AgentError } from '../contract/failures.ts';
import { buildLabels, labels } from '../contract/names.ts';
import type { PathError } from '../contract/validate.ts';
import { unlessAborted } from '../kit/unless-aborted.ts';
import { checkDockerfile, checkLabels, checkValues } from '../policy/check-dockerfile.ts';
import { labelled } from '../policy/dockerfile.ts';
import { buildLimits } from '../policy/host-policy.ts';
import { isRepoDigestOf, parseImageReference } from '../policy/image-reference.ts';
import { refuse } from '../policy/refusal.ts';
import { isServiceGroup } from '../policy/service-group-id.ts';
import { describeFailure, sendAnswer } from './answers.ts';
import { BuildContext } from './build-context.ts';
import { type GateCall, type GateContext, ownDeadlineMs } from './context.ts';
import { checkImageBounds } from './create-container.ts';
import type { ImageObject } from './engine-objects.ts';
import { lookAtImage } from './images.ts';
import { requireNetwork } from './networks.ts';
import { noteImage } from './note-image.ts';
import { engineMessage } from './sealed-containers.ts';
import { readAnswer } from './upstream.ts';

const GiB = 2 ** 30;
/** Of the limit of each command, in microseconds. */
export const cpuPeriod = 100_000;
const maxLineBytes = 1024 * 1024;
/** They obey nothing in the environment of a container, which a Dockerfile sets as it likes. */
const plainRuntimes = ['runc', 'io.containerd.runc.v2', 'crun'];

type Limits = ReturnType<typeof buildLimits>;

export async function buildImage(call: GateCall, gate: GateContext): Promise<void> {
  const { project = '', key = '', revision = '' } = call.query;
  const { builds } = gate.policy;
  if (!builds) throw new AgentError('build.denied');
  const isNamed = [project, key, revision].every((value) => value !== '');
  refuse([{ failure: 'policy.refused', errors: isNamed ? [] : [wrong('names no project, key and revision')] }]);
  const limits = buildLimits(builds);
  await gate.builds.run(project, call.signal, async (giveUp) => {
    call.signal.throwIfAborted();
    const late = new AbortController();
    const { timeout_seconds } = limits;
    const timer = setTimeout(
      () => late.abort(new AgentError('build.timed_out', { timeout_seconds })),
      timeout_seconds * 1000,
    );
    try {
      const signal = AbortSignal.any([call.signal, late.signal]);
      await buildNow({ ...call, signal }, gate, limits, giveUp).catch((error: unknown) => {
        throw late.signal.aborted ? late.signal.reason : error;
      });
    } catch (error) {
      // Its client has had the headers of an answer, and reads on: the last line of it says why.
      if (!call.response.headersSent || call.signal.aborted) throw error;
      call.response.end(`${JSON.stringify(describeFailure(error).body)}\n`);
    } finally {
      clearTimeout(timer);
    }
  });
}

async function buildNow(call: GateCall, gate: GateContext, limits: Limits, giveUp: () => void): Promise<void> {
  const { query, request, response, signal } = call;
  const { project = '', key = '', revision = '' } = query;
  await assertPlainRuntime(gate, signal);
  const networkmode = await networkOf(call, gate, limits);
  if (request.headers.expect !== undefined) response.writeContinue();
  const body = request.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  const context = new BuildContext(body, limits.context_gib * GiB);
  const dockerfile = await context.dockerfile();
  const { bases, errors } = checkDockerfile(dockerfile, gate.policy.registries);
  refuse([{ failure: 'policy.refused', errors }]);
  const env: string[] = [];
  let inherited = 0;
  for (const base of bases) {
    const { Env, Labels } = await assertBase(base, gate, signal);
    env.push(...(Env ?? []));
    inherited = Math.max(inherited, Buffer.byteLength(JSON.stringify(Labels ?? {})));
  }
  const wrongLabels = checkLabels(dockerfile, env, inherited);
  refuse([{ failure: 'policy.refused', errors: [...checkValues(dockerfile, env), ...wrongLabels] }]);

  const name = `.gpuaas-${randomBytes(16).toString('hex')}`;
  // The engine looks for what it has done before above the same labels only: that of no other project is used again.
  const owner = { [buildLabels.allocation]: gate.policy.allocation.id, [buildLabels.project]: project };
  const stream = Readable.from(context.tar(name, labelled(dockerfile, owner)), { objectMode: false });
  let broken: unknown;
  stream.once('error', (error) => {
    broken = error;
  });
  // Until the engine has begun it is given up with its connection; later on the engine is waited for.
  const beginning = new AbortController();
  const leave = () => beginning.abort(signal.reason);
  signal.addEventListener('abort', leave);
  if (signal.aborted) leave();
  const asked = { ...queryOf(name, limits), networkmode };
  const incoming = await gate.engine
    .stream({
      ...{ method: 'POST', path: '/build', query: asked, stream, signal: beginning.signal },
      headers: { 'content-type': 'application/x-tar' },
    })
    .catch((error: unknown) => {
      throw broken ?? error;
    });
  if (!request.complete) response.setHeader('connection', 'close');
  if (incoming.statusCode !== 200) {
    sendAnswer(response, await readAnswer(incoming, signal));
    return;
  }
  signal.removeEventListener('abort', leave);
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
  const seen = new BuildWords();
  const chunks = incoming.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  try {
    for (;;) {
      signal.throwIfAborted();
      const { value, done } = await unlessAborted(chunks.next(), signal);
      if (done) break;
      seen.add(value);
      if (!response.write(value)) await once(response, 'drain', { signal });
    }
  } catch (error) {
    giveUp();
    await endAtEngine(incoming, chunks);
    throw error;
  }
  if (seen.image !== undefined) await noteImage(seen.image, { project, key, revision, bases }, gate, signal);
  response.end();
}

/**
 * Nobody waits for the build any more. An engine takes the half of a connection that is closed for that, and shows by the other when it is
 * done: as long as it copies, it goes on, and adds what it has copied.
 */
async function endAtEngine(incoming: IncomingMessage, chunks: AsyncIterator<Buffer>): Promise<void> {
  const rest = async () => {
    while (!(await chunks.next()).done);
  };
  if (!incoming.complete) {
    incoming.socket.end();
    await unlessAborted(rest(), AbortSignal.timeout(ownDeadlineMs)).catch(() => undefined);
  }
  incoming.destroy();
}

/**
 * The builder has no other runtime than the engine's usual one. That of cards gives all of them to whoever asks by a variable, and its
 * hooks run as root of the host with what a Dockerfile sets (CVE-2025-23266).
 */
async function assertPlainRuntime({ engine, policy }: GateContext, signal: AbortSignal): Promise<void> {
  const answer = await engine.ask({ method: 'GET', path: '/info', signal });
  if (answer.status !== 200) {
    throw new AgentError('engine.failed', { status: answer.status, reason: engineMessage(answer) });
  }
  const { DefaultRuntime: usual = '' } = JSON.parse(answer.body.toString()) as { DefaultRuntime?: string };
  if (plainRuntimes.includes(usual) || usual === policy.sandboxes.gvisor) return;
  const reason = `Commands of a build would run under its default runtime ${usual.slice(0, 64)}, which may give out cards: make it runc.`;
  throw new AgentError('build.unsupported', { reason });
}

/**
 * `none`, or the id of the network of a job of the same project: what its commands can reach is what the job itself can. Services that
 * jobs share have a network of theirs, which is no job's.
 */
async function networkOf(
  { query, signal }: GateCall,
  gate: GateContext,
  { network: allowed }: Limits,
): Promise<string> {
  const { network: name, project = '' } = query;
  if (name === undefined) return 'none';
  if (allowed !== 'bridge') throw new AgentError('build.denied', { reason: 'Builds have no network on this host.' });
  const { Id, Labels, Internal } = await requireNetwork(name, gate, signal);
  if (Internal) throw new AgentError('build.denied', { reason: 'Builds have no network in a job with a list of it.' });
  const { [labels.project]: owner, [labels.instance]: instance = '' } = Labels ?? {};
  const isOfJob = owner === project && !isServiceGroup(instance);
  refuse([{ failure: 'policy.refused', errors: isOfJob ? [] : [wrong('names no network of a job of its project')] }]);
  return Id;
}

function queryOf(dockerfile: string, { cpu_cores, memory_gib }: Limits) {
  const memory = String(Math.floor(memory_gib * GiB));
  return {
    ...{ dockerfile, version: '1', rm: '1', forcerm: '1', memory, memswap: memory },
    ...{ cpuperiod: String(cpuPeriod), cpuquota: String(Math.floor(cpu_cores * cpuPeriod)) },
  };
}

/** It is there, it is what its digest says, and it brings no instructions of its own. Answers with what it sets. */
async function assertBase(
  base: string,
  gate: GateContext,
  signal: AbortSignal,
): Promise<NonNullable<ImageObject['Config']>> {
  const object = await lookAtImage(base, gate, signal);
  if (!object) throw new AgentError('image.not_found', { image: base });
  const wanted = parseImageReference(base);
  if (!(object.RepoDigests ?? []).some((digest) => isRepoDigestOf(digest, wanted))) {
    throw new AgentError('image.digest_mismatch', { expected: base, actual: [...(object.RepoDigests ?? [])] });
  }
  refuse([{ failure: 'policy.refused', errors: checkImageBounds(object.Config) }]);
  const config = object.Config ?? {};
  if ((config.OnBuild ?? []).length === 0) return config;
  const message = `${base} has instructions for those who build on it (ONBUILD)`;
  throw new AgentError('policy.refused', { errors: [{ path: '/dockerfile', code: 'onbuild', message }] });
}

/** The id in the last `aux` of the engine's words; none once they tell of an error. */
class BuildWords {
  #line: Buffer = Buffer.alloc(0);
  #id: string | undefined;
  #failed = false;

  get image(): string | undefined {
    return this.#failed ? undefined : this.#id;
  }

  add(chunk: Buffer): void {
    this.#line = Buffer.concat([this.#line, chunk]);
    for (let end = this.#line.indexOf(10); end !== -1; end = this.#line.indexOf(10)) {
      this.#judge(this.#line.subarray(0, end).toString());
      this.#line = this.#line.subarray(end + 1);
    }
    if (this.#line.length > maxLineBytes) throw new AgentError('engine.failed', { reason: 'A line of it has no end.' });
  }

  #judge(text: string): void {
    if (text.trim() === '') return;
    const { id, aux, error, errorDetail } = JSON.parse(text) as {
      id?: unknown;
      aux?: { ID?: unknown };
      error?: unknown;
      errorDetail?: unknown;
    };
    // Words of BuildKit: it bounds its commands in other ways, so that nothing asked for would hold.
    if (typeof id === 'string' && id.startsWith('moby.')) {
      throw new AgentError('build.unsupported', {
        reason: 'The engine has built by another builder than it was asked for.',
      });
    }
    if (error !== undefined || errorDetail !== undefined) this.#failed = true;
    if (typeof aux?.ID === 'string') this.#id = aux.ID;
  }
}

function wrong(message: string): PathError {
  return { path: '', code: 'query', message };
}
