/** What is needed to look into a source. */
import type { SourceClient } from '../client.ts';

export interface SourceMeans {
  readonly client: SourceClient;
  readonly signal: AbortSignal;
  readonly credential: Readonly<Record<string, string>> | undefined;
  /** Origins of mirrors in the place of the public ones. */
  readonly endpoints: { readonly huggingface?: string | undefined; readonly ollama?: string | undefined };
}
