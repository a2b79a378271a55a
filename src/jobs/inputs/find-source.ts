/** What the source of an input holds now, by its kind. */
import { anonymous } from './client.ts';
import type { ResolvedSource } from './job-inputs.ts';
import type { RemoteSource } from './remote-file.ts';
import { findOnWeb } from './sources/http.ts';
import { findInHub } from './sources/hugging-face.ts';
import type { SourceMeans } from './sources/means.ts';
import { findInRegistry } from './sources/ollama.ts';
import { findOutput } from './sources/output.ts';
import { findInBucket } from './sources/s3.ts';

export async function findSource(source: ResolvedSource, means: SourceMeans): Promise<RemoteSource> {
  switch (source.kind) {
    case 'huggingface':
      return await findInHub(source, means);
    case 's3':
      return await findInBucket(source, means);
    case 'http':
      return await findOnWeb(source, means);
    case 'ollama':
      return await findInRegistry(source, means);
    case 'inline':
      return readInline(source);
    case 'output':
      return findOutput(source, means.controlPlane);
  }
}

/** Of no version: what is in a plan is its job's alone, however often it says the same. */
function readInline({ file_name: path, text }: Extract<ResolvedSource, { kind: 'inline' }>): RemoteSource {
  const content = Buffer.from(text);
  const file = { path, url: new URL(`inline:${path}`), version: undefined, size: content.length, content };
  return { files: [file], authorize: anonymous };
}
