/**
 * Fetches the files of a release from the control plane. A large one goes on where it was cut, over restarts of the agent as
 * well; nothing is believed before its hash was compared.
 */
import { closeSync, openSync, rmSync, statSync } from 'node:fs';
import { type IncomingMessage, request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import { AgentError } from '../../contract/failures.ts';
import type { ReleaseArtifact } from '../../contract/release.ts';
import { answerOf } from '../../kit/answer-of.ts';
import { type Backoff, fullJitterDelay } from '../../kit/backoff.ts';
import type { Clock } from '../../kit/clock.ts';
import { moveDurable, writeWhole } from '../../kit/durable.ts';
import { measureFile } from '../../kit/measure-file.ts';
import { judgeArtifact } from '../../policy/release-trust.ts';
import { describeFailure, refusal } from '../control-plane/client.ts';
import type { ControlPlaneOrigin } from '../control-plane/origin.ts';

export interface ReleaseSource {
  readonly origin: ControlPlaneOrigin;
  /** Of the present session; undefined while there is none. */
  bearer(): string | undefined;
  /** Time of the control plane in milliseconds since 1970; undefined before the first contact. */
  serverNow(): number | undefined;
}

export interface FetchOptions {
  readonly source: ReleaseSource;
  /** A version, or the channel whose present release is meant. */
  readonly release: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** How long no byte may come. */
  readonly stallMs?: number;
  /** Attempts in a row that may bring nothing; without it only the signal ends them. */
  readonly maxIdleAttempts?: number;
}

export interface DownloadOptions extends FetchOptions {
  readonly artifact: ReleaseArtifact;
  readonly file: string;
  readonly onBytes: (bytes: number) => void;
}

const usualStallMs = 20_000;
const backoff: Backoff = { firstMs: 500, maxMs: 30_000, factor: 2 };

/** A small file, whole. `control_plane.*` where it cannot be had. */
export async function fetchPaper(name: string, maxBytes: number, options: FetchOptions): Promise<Buffer> {
  return await patiently(options, async () => {
    const parts: Buffer[] = [];
    let length = 0;
    await receive(name, 0, options, async (response) => {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        length += chunk.length;
        if (length > maxBytes) {
          response.destroy();
          throw new AgentError('update.damaged', { file: name, reason: 'It is longer than any such file.' });
        }
        parts.push(chunk);
      }
    });
    return Buffer.concat(parts);
  });
}

/** The file is there, whole and on the disk, when this resolves. `update.damaged` where what comes is another one. */
export async function download(options: DownloadOptions): Promise<void> {
  const { artifact, file } = options;
  const part = `${file}.part`;
  for (let whole = 0; ; whole += 1) {
    if (sizeOf(part) < artifact.size) {
      await patiently(
        options,
        () => fetchRest(part, options),
        () => sizeOf(part),
      );
    }
    try {
      judgeArtifact(artifact, 'packed', await measureFile(part));
      moveDurable(part, file);
      return;
    } catch (error) {
      rmSync(part, { force: true });
      // What an earlier life had begun may be of a file that was replaced since, or have been cut by a power loss.
      if (whole > 0) throw error;
    }
  }
}

async function fetchRest(part: string, options: DownloadOptions): Promise<void> {
  const { artifact, onBytes } = options;
  const begun = sizeOf(part);
  await receive(artifact.name, begun, options, async (response) => {
    const goesOn = response.statusCode === 206;
    const file = openSync(part, goesOn ? 'a' : 'w', 0o600);
    let total = goesOn ? begun : 0;
    // Each piece as it comes: nothing that is here already is lost to a cut.
    const take = (chunk: Buffer) => {
      total += chunk.length;
      if (total > artifact.size) {
        throw new AgentError('update.damaged', { file: artifact.name, reason: 'It is longer than the release says.' });
      }
      writeWhole(file, chunk);
      onBytes(total);
    };
    try {
      await drained(response, take);
    } finally {
      closeSync(file);
    }
    if (total < artifact.size) throw new Error(`It ended after ${total} of ${artifact.size} bytes`);
  });
}

async function drained(response: IncomingMessage, take: (chunk: Buffer) => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  response.on('data', (chunk: Buffer) => {
    try {
      take(chunk);
    } catch (error) {
      response.destroy();
      reject(error);
    }
  });
  response.once('end', resolve);
  response.once('error', reject);
  response.once('close', () => reject(new Error('The connection was closed')));
  await promise;
}

/** Gives the answer of a GET to `take`; a body that stops coming is cut. */
async function receive(
  name: string,
  offset: number,
  { source, release, signal, stallMs = usualStallMs }: FetchOptions,
  take: (response: IncomingMessage) => Promise<void>,
): Promise<void> {
  const url = `${source.origin.audience}/agent/v1/releases/${release}/${name}`;
  const bearer = source.bearer();
  if (bearer === undefined) {
    throw new AgentError('control_plane.unavailable', { reason: 'There is no session at the moment.', url });
  }
  const headers = {
    authorization: `Bearer ${bearer}`,
    ...(offset > 0 ? { range: `bytes=${offset}-` } : {}),
  };
  const send = source.origin.tls ? requestTls : requestPlain;
  const request = send(url, { headers, signal, agent: false, ...source.origin.tlsOptions() });
  request.setTimeout(stallMs, () => request.destroy(new Error('Nothing came any more'))).end();
  try {
    const response = await answerOf(request);
    const status = response.statusCode ?? 0;
    if (status !== 200 && status !== 206) {
      response.resume();
      // The session may have been replaced meanwhile: its bearer ends with it.
      throw status === 401 || status === 416
        ? new AgentError('control_plane.unavailable', { reason: `It answered with status ${status}.`, url, status })
        : refusal(url, status, undefined);
    }
    await take(response);
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof AgentError || isOfDisk(error) ? error : describeFailure(url, error);
  } finally {
    request.destroy();
  }
}

/** Does it until it is done, over whatever passes. What `have` says has grown was no idle attempt. */
async function patiently<T>(
  { clock, signal, maxIdleAttempts = Number.POSITIVE_INFINITY }: FetchOptions,
  work: () => Promise<T>,
  have: () => number = () => 0,
): Promise<T> {
  for (let idle = 0; ; ) {
    const before = have();
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      idle = have() > before ? 1 : idle + 1;
      if (!isPassing(error) || idle > maxIdleAttempts) throw error;
      await clock.pause(fullJitterDelay(backoff, idle), signal);
    }
  }
}

function isPassing(error: unknown): boolean {
  return error instanceof AgentError && error.code === 'control_plane.unavailable';
}

function isOfDisk(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '');
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
