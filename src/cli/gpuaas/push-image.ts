/**
 * Pushes an image from a folder straight to its registry, in the protocol of the OCI distribution specification. What the
 * registry has already is not sent again, so a push that broke off is given again.
 */
import { AgentError } from '../../contract/failures.ts';
import { registryAddress } from '../../server/artifacts/registry-client.ts';
import { type LayoutImage, openBlob } from './oci-layout.ts';

export interface PushTarget {
  /** Registry and repository, without tag and digest. */
  readonly repository: string;
  /** A bearer token that is still good; asked for before each request. Undefined for a registry that asks for none. */
  readonly token: (() => Promise<string>) | undefined;
  /** Told before each blob that is sent. */
  readonly onBlob: (digest: string, bytes: number) => void;
}

/** Afterwards the registry has the image under its digest, without a tag. */
export async function pushImage({ manifests, blobs }: LayoutImage, target: PushTarget): Promise<void> {
  const { origin, path } = registryAddress(target.repository);
  const ask = async (method: string, address: string, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(address, origin);
    // The token is for this registry alone.
    if (url.origin !== origin) throw unexpected(origin, `sends uploads to ${url.origin}`);
    const token = await target.token?.();
    const headers = { ...init.headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
    try {
      return await fetch(url, { ...init, method, headers, redirect: 'error' });
    } catch (error) {
      throw new AgentError('artifact.push_failed', { reason: `${origin} cannot be reached.` }, { cause: error });
    }
  };
  for (const [digest, file] of blobs) {
    if (await has(await ask('HEAD', `/v2/${path}/blobs/${digest}`), origin)) continue;
    const body = await openBlob(digest, file);
    target.onBlob(digest, body.size);
    const begun = await done(await ask('POST', `/v2/${path}/blobs/uploads/`), origin);
    const place = new URL(begun.headers.get('location') ?? '', origin);
    place.searchParams.set('digest', digest);
    const headers = { 'content-type': 'application/octet-stream' };
    await done(await ask('PUT', place.href, { body, headers }), origin);
  }
  for (const { digest, mediaType, bytes } of manifests) {
    const headers = { 'content-type': mediaType };
    await done(await ask('PUT', `/v2/${path}/manifests/${digest}`, { body: new Uint8Array(bytes), headers }), origin);
  }
}

async function has(response: Response, origin: string): Promise<boolean> {
  if (response.status === 404) return false;
  await done(response, origin);
  return true;
}

async function done(response: Response, origin: string): Promise<Response> {
  const said = (await response.text()).slice(0, 500).replaceAll(/\s+/g, ' ').trim();
  if (response.ok) return response;
  if (response.status === 401 || response.status === 403) {
    throw new AgentError('artifact.push_denied', { reason: `${origin} answered ${response.status}.` });
  }
  throw unexpected(origin, `answered ${response.status}${said === '' ? '' : `: ${said}`}`);
}

function unexpected(origin: string, what: string): AgentError {
  return new AgentError('artifact.push_failed', { reason: `${origin} ${what}.` });
}
