/** A registry of Ollama's on loopback: manifests, and blobs that it redirects to another origin. */
import { createHash } from 'node:crypto';
import { type Content, contentOf, type LoopbackSource, loopbackSource, sendContent } from './loopback-source.ts';

export interface OllamaRegistry extends LoopbackSource {
  readonly store: LoopbackSource;
  /** As it is sent, byte for byte. */
  readonly manifest: string;
  readonly layers: readonly Content[];
}

export async function ollamaRegistry(name: string, tag: string, layers: readonly Content[]): Promise<OllamaRegistry> {
  const config = contentOf('{"model_format":"gguf","model_family":"tiny"}');
  const blobs = new Map([config, ...layers].map((each) => [`sha256:${each.sha256}`, each]));
  const kinds = ['model', 'template', 'license', 'params'];
  const manifest = JSON.stringify({
    ...{ schemaVersion: 2, mediaType: 'application/vnd.docker.distribution.manifest.v2+json' },
    config: {
      mediaType: 'application/vnd.docker.container.image.v1+json',
      ...{ digest: `sha256:${config.sha256}`, size: config.size },
    },
    layers: layers.map(({ sha256, size }, index) => ({
      mediaType: `application/vnd.ollama.image.${kinds[index]}`,
      ...{ digest: `sha256:${sha256}`, size },
    })),
  });
  const store = await loopbackSource(async (request, response, url) => {
    const content = blobs.get(url.pathname.slice(1));
    if (content) await sendContent(request, response, content);
    else response.writeHead(404).end();
  });
  const registry = await loopbackSource((_request, response, url) => {
    const digest = url.pathname.startsWith(`/v2/${name}/blobs/`) ? (url.pathname.split('/').at(-1) ?? '') : undefined;
    if (url.pathname === `/v2/${name}/manifests/${tag}`) {
      const headers = { 'ollama-content-digest': createHash('sha256').update(manifest).digest('hex') };
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', ...headers }).end(manifest);
    } else if (digest !== undefined && blobs.has(digest)) {
      response.writeHead(307, { location: `${store.origin}/${digest}?X-Amz-Expires=86400` }).end();
    } else {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
    }
  });
  return { ...registry, store, manifest, layers: [config, ...layers] };
}
