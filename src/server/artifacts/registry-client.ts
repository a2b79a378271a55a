/**
 * Asks a registry for what an artifact is made of and believes nothing but its bytes: digests are computed here.
 *
 * Only hosts that the operator accepted are asked; sizes and times are bounded. A registry may send us elsewhere for a blob,
 * as those do whose blobs lie in an object store: once, over https, and without its login.
 */
import { createHash } from 'node:crypto';
import { AgentError } from '../../contract/failures.ts';
import { askedTypes } from './media-types.ts';

const timeoutMs = 10_000;
const maxBytes = 4 * 1024 * 1024;

export interface Fetched {
  /** Of the bytes that came, whatever was asked for. */
  readonly digest: string;
  readonly mediaType: string;
  readonly text: string;
}

/** One repository. Each fails with `artifact.unreachable` or `artifact.unauthorized` where the registry does not answer as one. */
export interface RegistryReader {
  /** By digest or tag; undefined if the registry has no such manifest. */
  manifest(reference: string): Promise<Fetched | undefined>;
  /** For small ones: the configuration of an image. */
  blob(digest: string): Promise<Fetched | undefined>;
  hasBlob(digest: string): Promise<boolean>;
}

/** The `Authorization` header that may read a repository; undefined for an open registry. */
export type PullAuthorization = (repository: string) => Promise<string | undefined>;

export function registryReader(repository: string, login: PullAuthorization, signal: AbortSignal): RegistryReader {
  const { origin, path } = registryAddress(repository);
  let header: Promise<string | undefined> | undefined;
  const ask = async (method: 'GET' | 'HEAD', what: string): Promise<Response | undefined> => {
    header ??= login(repository);
    const authorization = await header;
    const headers = { accept: askedTypes.join(', '), ...(authorization === undefined ? {} : { authorization }) };
    return await asked(`${origin}/v2/${path}/${what}`, { method, headers }, signal);
  };
  return {
    manifest: async (reference) => {
      const response = await ask('GET', `manifests/${reference}`);
      if (response && isElsewhere(response)) throw unreachable(origin, response.status);
      return response && (await read(response, origin));
    },
    blob: async (digest) => {
      const response = await ask('GET', `blobs/${digest}`);
      if (!response || !isElsewhere(response)) return response && (await read(response, origin));
      const target = elsewhere(response, origin);
      const moved = await asked(target, { method: 'GET' }, signal);
      return moved && (await read(moved, new URL(target).origin));
    },
    // Whoever is sent elsewhere is sent to where it is.
    hasBlob: async (digest) => (await ask('HEAD', `blobs/${digest}`)) !== undefined,
  };
}

/** The answer with its body unread, or undefined for what is not there. */
async function asked(url: string, init: RequestInit, signal: AbortSignal): Promise<Response | undefined> {
  const { origin } = new URL(url);
  let response: Response;
  try {
    const bound = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    response = await fetch(url, { ...init, redirect: 'manual', signal: bound });
  } catch (error) {
    throw new AgentError('artifact.unreachable', { reason: `Asked ${origin}.` }, { cause: error });
  }
  if (response.ok || isElsewhere(response)) return response;
  await response.body?.cancel();
  if (response.status === 404) return undefined;
  if (response.status === 401 || response.status === 403) {
    throw new AgentError('artifact.unauthorized', { reason: `${origin} answered ${response.status}.` });
  }
  throw unreachable(origin, response.status);
}

function isElsewhere({ status }: Response): boolean {
  return status >= 300 && status < 400;
}

function elsewhere(response: Response, origin: string): string {
  const location = response.headers.get('location') ?? '';
  if (!URL.canParse(location) || new URL(location).protocol !== 'https:') {
    throw new AgentError('artifact.unreachable', { reason: `${origin} sends us to what is no https address.` });
  }
  return location;
}

function unreachable(origin: string, status: number): AgentError {
  return new AgentError('artifact.unreachable', { reason: `${origin} answered ${status}.` });
}

async function read(response: Response, origin: string): Promise<Fetched> {
  if (isElsewhere(response)) throw unreachable(origin, response.status);
  const mediaType = response.headers.get('content-type')?.split(';')[0]?.trim() ?? '';
  const pieces: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const piece of response.body ?? []) {
      size += piece.length;
      if (size > maxBytes) break;
      pieces.push(piece);
    }
  } catch (error) {
    throw new AgentError('artifact.unreachable', { reason: `${origin} broke off.` }, { cause: error });
  }
  if (size > maxBytes) {
    throw new AgentError('artifact.unreachable', { reason: `${origin} sends more than ${maxBytes} bytes.` });
  }
  const bytes = Buffer.concat(pieces);
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  return { digest, mediaType, text: bytes.toString('utf8') };
}

/** A registry on this machine needs no TLS, any other does. */
export function registryAddress(repository: string): { origin: string; path: string } {
  const slash = repository.indexOf('/');
  const named = repository.slice(0, slash);
  // The Docker Hub answers under another name than its images have.
  const host = named === 'docker.io' ? 'registry-1.docker.io' : named;
  const isLocal = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/.test(host);
  return { origin: `${isLocal ? 'http' : 'https'}://${host}`, path: repository.slice(slash + 1) };
}
