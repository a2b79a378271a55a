/**
 * Images that no engine has ever seen: random content, pushed to a registry by plain HTTP. What an engine knows already
 * it does not ask a registry for, so a lying or failing registry can only be tested with these.
 */
import { createHash, randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';

export interface FreshImage {
  readonly repository: string;
  readonly digest: string;
  /** Digests of its layers. */
  readonly layers: readonly string[];
}

interface Blob {
  readonly bytes: Buffer;
  readonly digest: string;
}

/** Credentials for a registry that asks for some. */
export interface BasicAuth {
  readonly username: string;
  readonly password: string;
}

export interface FreshImageOptions {
  readonly layers?: number;
  /** Size of the one file in each layer. */
  readonly layerBytes?: number;
  /** True for content that compresses to nearly nothing. */
  readonly zeros?: boolean;
  readonly auth?: BasicAuth;
  /** A static program that becomes `/bin/sh`, so that a container of the image can run. */
  readonly shell?: Buffer;
  readonly labels?: Readonly<Record<string, string>>;
  /** Who its containers run as; root if absent. */
  readonly user?: string;
  /** Files of its own in the folder `/data`, which belongs to this user, and may be looked at by others. */
  readonly data?: { readonly uid: number; readonly files: Readonly<Record<string, string>> };
}

/** Pushes a new image to a registry. */
export async function pushFreshImage(
  host: string,
  repository: string,
  { layers = 1, layerBytes = 4096, zeros = false, auth, shell, labels = {}, user, data }: FreshImageOptions = {},
): Promise<FreshImage> {
  const tars = Array.from({ length: layers }, (_, index) => {
    const content = zeros ? Buffer.alloc(layerBytes) : randomBytes(layerBytes);
    return tarOf(`data-${index}-${randomBytes(4).toString('hex')}`, content);
  });
  if (shell) {
    tars.push(tarOf('bin/sh', shell, '0000755'));
  }
  if (data) {
    for (const [name, text] of Object.entries(data.files)) tars.push(tarOf(`data/${name}`, Buffer.from(text)));
    // Last: a layer with a file in it has the folder as root's.
    tars.push(folderOf('data/', data.uid));
  }
  const packed = tars.map((tar) => blobOf(gzipSync(tar, { level: 1 })));
  const config = blobOf(
    Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        config: { Cmd: ['/none'], Labels: labels, ...(user !== undefined && { User: user }) },
        rootfs: { type: 'layers', diff_ids: tars.map((tar) => blobOf(tar).digest) },
      }),
    ),
  );
  const manifest = blobOf(
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: manifestType,
        config: describe(config, 'application/vnd.docker.container.image.v1+json'),
        layers: packed.map((layer) => describe(layer, 'application/vnd.docker.image.rootfs.diff.tar.gzip')),
      }),
    ),
  );

  for (const blob of [...packed, config]) {
    await pushBlob(host, repository, blob, auth);
  }
  await call(`http://${host}/v2/${repository}/manifests/${manifest.digest}`, 'PUT', manifest.bytes, manifestType, auth);
  return { repository, digest: manifest.digest, layers: packed.map(({ digest }) => digest) };
}

const manifestType = 'application/vnd.docker.distribution.manifest.v2+json';

async function pushBlob(host: string, repository: string, blob: Blob, auth: BasicAuth | undefined): Promise<void> {
  const started = await call(`http://${host}/v2/${repository}/blobs/uploads/`, 'POST', undefined, undefined, auth);
  const target = new URL(started.headers.get('location') ?? '', `http://${host}`);
  target.searchParams.set('digest', blob.digest);
  await call(target.href, 'PUT', blob.bytes, 'application/octet-stream', auth);
}

async function call(url: string, method: string, body?: Buffer, type?: string, auth?: BasicAuth): Promise<Response> {
  const response = await fetch(url, {
    method,
    ...(body === undefined ? {} : { body: new Uint8Array(body) }),
    headers: {
      ...(type === undefined ? {} : { 'content-type': type }),
      ...(auth === undefined
        ? {}
        : { authorization: `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}` }),
    },
  });
  await response.arrayBuffer();
  if (!response.ok) {
    throw new Error(`${method} ${url} answered ${response.status}`);
  }
  return response;
}

function describe({ bytes, digest }: Blob, mediaType: string) {
  return { mediaType, size: bytes.length, digest };
}

function blobOf(bytes: Buffer): Blob {
  return { bytes, digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}` };
}

/** A tar archive (ustar) of one file. */
function tarOf(name: string, content: Buffer, mode = '0000644'): Buffer {
  const filled = Buffer.alloc(((512 - (content.length % 512)) % 512) + 1024);
  return Buffer.concat([headerOf({ name, mode, type: '0', size: content.length }), content, filled]);
}

function folderOf(name: string, uid: number): Buffer {
  return Buffer.concat([headerOf({ name, mode: '0000755', type: '5', size: 0, uid }), Buffer.alloc(1024)]);
}

interface Header {
  readonly name: string;
  readonly mode: string;
  readonly type: '0' | '5';
  readonly size: number;
  readonly uid?: number;
}

function headerOf({ name, mode, type, size, uid = 0 }: Header): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write(`${mode}\0`, 100);
  header.write(`${uid.toString(8).padStart(7, '0')}\0`, 108);
  header.write('0000000\0', 116);
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write(type, 156);
  header.write('ustar\0', 257);
  header.write('00', 263);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}
