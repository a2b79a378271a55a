/** What is needed to look into a source. */
import type { SourceClient } from '../client.ts';
import type { RevisionSource } from '../job-inputs.ts';

export interface SourceMeans {
  readonly client: SourceClient;
  /** Undefined where there is none. */
  readonly controlPlane: RevisionSource | undefined;
  readonly signal: AbortSignal;
  readonly credential: Readonly<Record<string, string>> | undefined;
  /** Origins of mirrors in the place of the public ones. */
  readonly endpoints: { readonly huggingface?: string | undefined; readonly ollama?: string | undefined };
}
