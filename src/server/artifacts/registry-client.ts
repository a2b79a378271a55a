/**
 * Asks a registry for a manifest and believes nothing but its bytes: the digest is computed here.
 *
 * Only hosts that the operator accepted are asked, no redirect is followed, sizes and times are bounded.
 */
import { createHash } from 'node:crypto';
import { AgentError } from '../../contract/failures.ts';
import { mediaTypes } from './media-types.ts';

const timeoutMs = 10_000;
const maxManifestBytes = 4 * 1024 * 1024;

export interface FetchedManifest {
  readonly digest: string;
  readonly mediaType: string;
  readonly text: string;
}

/** The `Authorization` header that may read a repository; undefined for an open registry. */
export type PullAuthorization = (repository: string) => Promise<string | undefined>;

/**
 * The manifest of that digest, or undefined if the registry has none; its digest is what its bytes give, whatever was
 * asked for. `artifact.unreachable` if the registry does not answer as one.
 */
export async function fetchManifest(
  repository: string,
  digest: string,
  authorization: PullAuthorization,
  signal: AbortSignal,
): Promise<FetchedManifest | undefined> {
  const { origin, path } = addressOf(repository);
  const header = await authorization(repository);
  let response: Response;
  try {
    response = await fetch(`${origin}/v2/${path}/manifests/${digest}`, {
      headers: {
        accept: mediaTypes.join(', '),
        ...(header === undefined ? {} : { authorization: header }),
      },
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    if (response.status === 404) {
      await response.body?.cancel();
      return undefined;
    }
    if (response.ok) {
      const bytes = await readBounded(response);
      const mediaType = response.headers.get('content-type')?.split(';')[0]?.trim() ?? '';
      const computed = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
      return { digest: computed, mediaType, text: bytes.toString('utf8') };
    }
    await response.body?.cancel();
  } catch (error) {
    if (error instanceof AgentError) {
      throw error;
    }
    throw new AgentError('artifact.unreachable', { reason: `Asked ${origin}.` }, { cause: error });
  }
  throw new AgentError('artifact.unreachable', { reason: `${origin} answered ${response.status}.` });
}

/** A registry on this machine needs no TLS, any other does. */
function addressOf(repository: string): { origin: string; path: string } {
  const slash = repository.indexOf('/');
  const host = repository.slice(0, slash);
  const isLocal = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/.test(host);
  return { origin: `${isLocal ? 'http' : 'https'}://${host}`, path: repository.slice(slash + 1) };
}

async function readBounded(response: Response): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of response.body ?? []) {
    size += piece.length;
    if (size > maxManifestBytes) {
      throw new AgentError('artifact.unreachable', { reason: `The manifest has more than ${maxManifestBytes} bytes.` });
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
