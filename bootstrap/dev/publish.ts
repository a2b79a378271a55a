/**
 * Makes images without a build: a folder or a container's changes become an image, which is pushed to a registry and
 * from then on known by its digest.
 */
import { spawn } from 'node:child_process';
import { askEngine, callEngine, streamEngine } from './engine-api.ts';

/** An image as the agent is told about it. */
export interface PublishedImage {
  /** `HOST/REPOSITORY@sha256:…` */
  readonly reference: string;
  /** Digest of the manifest in the registry, `sha256:…`. */
  readonly digest: string;
  /** Id of the image in the engine, `sha256:…`. */
  readonly image_id: string;
}

/** Where an image goes. */
export interface PublishTarget {
  readonly socketPath: string;
  /** Registry, `HOST:PORT`. */
  readonly host: string;
  readonly repository: string;
  readonly tag: string;
  /** Credentials that the registry asks for, or a token that it believes. */
  readonly auth?: { readonly username: string; readonly password: string } | { readonly registrytoken: string };
}

/**
 * Imports a folder as an image of one layer and pushes it. Modes, owners and times in the folder are kept: a Python file
 * whose time changed would be compiled again at every start.
 */
export async function publishRoot(target: PublishTarget, root: string, changes: readonly string[]) {
  const query = new URLSearchParams({ fromSrc: '-', repo: `${target.host}/${target.repository}`, tag: target.tag });
  for (const change of changes) query.append('changes', change);
  const flags = ['--sort=name', '--numeric-owner', '-C', root, '-c', '.'];
  const tar = spawn('tar', flags, { stdio: ['ignore', 'pipe', 'inherit'] });
  const packed = new Promise<void>((resolve, reject) => {
    tar.once('error', reject);
    tar.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`tar ended with ${code}`))));
  });

  const path = `/images/create?${query}`;
  const [lines] = await Promise.all([
    streamEngine({ socketPath: target.socketPath, method: 'POST', path, stream: tar.stdout }),
    packed,
  ]);
  const imageId = String(lines.at(-1)?.['status']);
  return await pushImage(target, imageId);
}

/** Pushes an image of the engine under the target's name. */
export async function pushImage(target: PublishTarget, imageId: string): Promise<PublishedImage> {
  const { socketPath, tag, auth } = target;
  const name = `${target.host}/${target.repository}`;
  const names = new URLSearchParams({ repo: name, tag });
  await askEngine({ socketPath, method: 'POST', path: `/images/${imageId}/tag?${names}` });
  const credentials = Buffer.from(JSON.stringify(auth === undefined ? {} : { ...auth, serveraddress: target.host }));
  const lines = await streamEngine({
    socketPath,
    method: 'POST',
    path: `/images/${name}/push?${new URLSearchParams({ tag })}`,
    headers: { 'x-registry-auth': paddedBase64Url(credentials) },
  });
  const digest = lines.map((line) => (line['aux'] as { Digest?: string } | undefined)?.Digest).find(Boolean);
  if (digest === undefined) throw new Error(`The registry named no digest for ${name}:${tag}.`);
  return { reference: `${name}@${digest}`, digest, image_id: imageId };
}

/** The engine's decoder insists on the padding that Node leaves out. */
export function paddedBase64Url(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

/** Pulls an image by its reference, without credentials. */
export async function pullImage(socketPath: string, reference: string): Promise<void> {
  const query = new URLSearchParams({ fromImage: reference });
  await streamEngine({ socketPath, method: 'POST', path: `/images/create?${query}` });
}

/** The id of an image that the engine has; `undefined` when it has none under this reference. */
export async function imageIdOf(socketPath: string, reference: string): Promise<string | undefined> {
  const answer = await callEngine({ socketPath, method: 'GET', path: `/images/${reference}/json` });
  if (answer.status === 404) return undefined;
  if (answer.status !== 200) throw new Error(`The engine answered ${answer.status}: ${answer.text}`);
  return (JSON.parse(answer.text) as { Id: string }).Id;
}

/** Whether a registry without credentials holds this manifest. */
export async function registryHas(host: string, repository: string, digest: string): Promise<boolean> {
  return (await askForManifest('HEAD', host, repository, digest)).status === 200;
}

/** What a registry without credentials has under the target's tag; `undefined` when it has nothing. */
export async function publishedAs({ host, repository, tag }: PublishTarget): Promise<PublishedImage | undefined> {
  const response = await askForManifest('GET', host, repository, tag);
  const digest = response.headers.get('docker-content-digest');
  if (response.status !== 200 || digest === null) return undefined;
  const { config } = (await response.json()) as { config: { digest: string } };
  return { reference: `${host}/${repository}@${digest}`, digest, image_id: config.digest };
}

async function askForManifest(method: string, host: string, repository: string, reference: string): Promise<Response> {
  return await fetch(`http://${host}/v2/${repository}/manifests/${reference}`, {
    method,
    headers: { accept: 'application/vnd.docker.distribution.manifest.v2+json' },
    signal: AbortSignal.timeout(60_000),
  });
}
