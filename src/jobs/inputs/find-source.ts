/** What the source of an input holds now, by its kind. */
import type { ResolvedSource } from './job-inputs.ts';
import type { RemoteSource } from './remote-file.ts';
import { findOnWeb } from './sources/http.ts';
import { findInHub } from './sources/hugging-face.ts';
import type { SourceMeans } from './sources/means.ts';
import { findInRegistry } from './sources/ollama.ts';
import { findInBucket } from './sources/s3.ts';

export function findSource(source: ResolvedSource, means: SourceMeans): Promise<RemoteSource> {
  switch (source.kind) {
    case 'huggingface':
      return findInHub(source, means);
    case 's3':
      return findInBucket(source, means);
    case 'http':
      return findOnWeb(source, means);
    case 'ollama':
      return findInRegistry(source, means);
  }
}
