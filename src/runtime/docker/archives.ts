/** Tars into and out of the volumes of a container of a job. */
import type { Readable } from 'node:stream';
import type { Archive } from '../engine.ts';
import type { Calls } from './calls.ts';
import { AnswerError } from './transport.ts';

interface Place {
  readonly container: string;
  /** Absolute path in the container. */
  readonly path: string;
}

/** As long as it takes: a source that stands still is its own to end. What breaks the source is thrown as it is. */
export async function putArchive(calls: Calls, place: Place, tar: Readable, signal: AbortSignal): Promise<void> {
  const { container, path } = place;
  const options = { call: 'archive', timeoutMs: Number.POSITIVE_INFINITY, signal, container };
  let broken: unknown;
  tar.once('error', (error) => {
    broken ??= error;
  });
  try {
    await calls.run(options, async (_docker, abort) => {
      const headers = { 'content-type': 'application/x-tar' };
      const call = { method: 'PUT', path: pathOf(container), query: { path }, stream: tar, headers } as const;
      await calls.transport.json({ ...call, signal: abort });
    });
  } catch (error) {
    throw broken ?? error;
  } finally {
    tar.destroy();
  }
}

/** Undefined where nothing is at the path. */
export async function getArchive(calls: Calls, place: Place, signal: AbortSignal): Promise<Archive | undefined> {
  const { container, path } = place;
  const options = { call: 'archive', timeoutMs: calls.timeouts.lookMs, signal, container };
  let isAbsent = false;
  try {
    const stream = await calls.open(options, async (_docker, abort) => {
      const call = { method: 'GET', path: pathOf(container), query: { path }, signal: abort } as const;
      try {
        return (await calls.transport.large(call)) ?? (await calls.transport.stream(call));
      } catch (error) {
        // The gate's own word is that there is no such container; the engine's, that there is nothing at the path.
        isAbsent = error instanceof AnswerError && error.status === 404 && error.body.code === undefined;
        throw error;
      }
    });
    return {
      [Symbol.asyncIterator]: () => stream.chunks(calls.timeouts.stallMs),
      destroy: () => stream.close(),
    };
  } catch (error) {
    if (isAbsent) {
      return undefined;
    }
    throw error;
  }
}

function pathOf(container: string): string {
  return `/containers/${container}/archive`;
}
