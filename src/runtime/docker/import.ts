/** Imports images behind the gate, for one project each. */
import type { Readable } from 'node:stream';
import { AgentError } from '../../contract/failures.ts';
import { payloadKey } from '../../policy/choose-payload.ts';
import type { ImageFacts } from '../../policy/container-request.ts';
import type { ImportOptions, ImportRequest } from '../engine.ts';
import { keptImage } from './build.ts';
import type { Calls } from './calls.ts';
import { assertRoom, watchRoom } from './disk-room.ts';
import { readFacts } from './facts.ts';

/** Undefined where nothing of that hash was imported for the project, or the engine has it no more. */
export async function importedImage(
  calls: Calls,
  { projectId, hash }: ImportRequest,
  signal: AbortSignal,
): Promise<ImageFacts | undefined> {
  return await keptImage(calls, { projectId, key: payloadKey(hash) }, signal);
}

/** `tar` is read to its end or destroyed. */
export async function importImage(
  calls: Calls,
  request: ImportRequest,
  tar: Readable,
  options: ImportOptions,
): Promise<ImageFacts> {
  const ending = new AbortController();
  const end = (error: unknown) => ending.abort(error);
  const signal = AbortSignal.any([options.signal, ending.signal]);
  const over = new AbortController();
  try {
    // What it is read from says itself why it broke.
    tar.once('error', end);
    const { rootDir } = await readFacts(calls, signal);
    await assertRoom(rootDir, { ...options, signal });
    watchRoom(rootDir, { ...options, signal: over.signal }, over.signal).catch(end);
    await calls.run({ call: 'import', timeoutMs: Number.POSITIVE_INFINITY, signal }, async (_docker, abort) => {
      await calls.transport.json({
        ...{ method: 'POST', path: `/gpuaas/v1/projects/${request.projectId}/imports`, stream: tar, signal: abort },
        query: { payload: request.hash.toLowerCase() },
        headers: {
          'content-type': 'application/x-tar',
          'x-gpuaas-image-config': Buffer.from(JSON.stringify(options.config)).toString('base64'),
        },
      });
    });
    const image = await importedImage(calls, request, signal);
    if (!image) throw new AgentError('engine.failed', { call: 'import', reason: 'It has imported nothing.' });
    return image;
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    over.abort();
    tar.destroy();
  }
}
