/** What the executor asks of the part that fetches inputs, and an input whose values are known. */
import type { IncomingMessage } from 'node:http';
import type { JobEgress } from '../../contract/job-egress.ts';
import type { JobInput } from '../../contract/job-inputs.ts';
import { type KnownValues, rationed, resolveText } from '../resolve-values.ts';
import type { Delivery, Question } from './client.ts';

/** What fetches inputs. */
export interface JobInputs {
  /**
   * Fetches an input, or takes it from the cache of the host, and lays it under `folderOf(job, volume)`. Safe to repeat: an
   * input that was provided stays as it was, and one that was begun goes on where it was. `input.failed` where the source did
   * not deliver, `input.refused` where trying again cannot help, `disk.full`.
   */
  provide(job: string, input: ResolvedInput, options: ProvideOptions): Promise<ProvidedInput>;
  /**
   * Fetches the tar of a revision from the control plane, or takes it from the cache of the host; it stays where it is while
   * `use` works with it. `revision.failed`, `disk.full`.
   */
  withRevision<T>(revision: WantedRevision, options: FetchOptions, use: (file: string) => Promise<T>): Promise<T>;
  /**
   * Downloads an image from the first of its addresses that gives what its hash promises, or takes it from the cache of the host; it stays
   * where it is while `use` works with it. `payload.unavailable`, `payload.hash_mismatch`, `disk.full`.
   */
  withPayload<T>(payload: WantedPayload, options: PayloadOptions, use: (file: string) => Promise<T>): Promise<T>;
  /**
   * Fetches one file for a command of a job, which goes on where an earlier life of the agent had begun; it is there while `use`
   * works with it, and goes with that. Only from where `egress` leads. `input.failed`, `input.refused`, `disk.full`.
   */
  bring<T>(wanted: WantedFile, options: FileOptions, use: (file: BroughtFile) => Promise<T>): Promise<T>;
  /** Puts a file where `egress` leads. `fill` is asked again where the place fails and may be tried again. `input.failed`, `input.refused`. */
  deliver(file: Pick<Delivery, 'url' | 'size' | 'fill'>, options: FileOptions): Promise<void>;
  /** Folder of the host with all inputs of one volume; there is nothing of it before one was provided. */
  folderOf(job: string, volume: string): string;
  /** Removes what was laid for a job. Safe to repeat. */
  release(job: string): Promise<void>;
  /** Takes out of the cache what is too old, and what was used least recently where it is too large. */
  prune(): Promise<void>;
}

export interface WantedFile {
  readonly url: URL;
  /** Names what wants it: the same one goes on where it was. */
  readonly key: string;
}

export interface FileOptions {
  readonly egress: JobEgress | undefined;
  readonly signal: AbortSignal;
  /** Bytes that are there by now, and of how many; undefined where nobody says. */
  readonly onBytes: (bytes: number, of: number | undefined) => void;
}

export interface BroughtFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface WantedRevision {
  /** Whose it is: another's of the same content is another one. */
  readonly project_id: string;
  /** In hex, of the tar. */
  readonly sha256: string;
  readonly bytes: number;
}

export interface WantedPayload {
  /** `sha3:…` */
  readonly hash: string;
  readonly urls: readonly string[];
  readonly maxBytes: number;
}

export interface PayloadOptions {
  readonly signal: AbortSignal;
  /** At most a few times a second, and with each address. `url`: without its query. */
  readonly onProgress: (progress: { bytes: number; bytes_total: number | undefined; url: string }) => void;
}

/** Where revisions and outputs of jobs are fetched from. */
export interface RevisionSource {
  urlOf(sha256: string): URL;
  urlOfOutput(output: { readonly job_id: string; readonly sha256: string }): URL;
  /** Like that of a source of inputs; `control_plane.unavailable` for what passes. */
  ask(question: Question): Promise<IncomingMessage>;
}

interface FetchOptions {
  readonly signal: AbortSignal;
  /** At most a few times a second, and at the end. */
  readonly onProgress: (progress: InputProgress) => void;
}

export interface ProvideOptions extends FetchOptions {
  /** Opened: `{access_token}`, `{access_key_id, secret_access_key}` or `{query}`. Only ever sent to the source itself. */
  readonly credential?: Readonly<Record<string, string>> | undefined;
}

export interface InputProgress {
  readonly bytes: number;
  /** Undefined where the source does not say it. */
  readonly bytes_total: number | undefined;
  readonly files: number;
  readonly files_total: number;
}

export interface ProvidedInput {
  readonly id: string;
  readonly files: number;
  readonly bytes: number;
  /** In hex, of the lines `<sha256 of the file>  <path>\n`, sorted by path: what `sha256sum` prints. */
  readonly sha256: string;
  /** Of a repository, in hex: what its revision was. */
  readonly commit?: string;
  /** True if nothing had to be fetched. */
  readonly from_cache: boolean;
}

type Source<Kind extends JobInput['source']['kind']> = Omit<Extract<JobInput['source'], { kind: Kind }>, ValueKeys>;
type ValueKeys = 'repo' | 'revision' | 'files' | 'url' | 'region' | 'model';

/** With plain texts where the plan has values that are known only while the job runs. */
export type ResolvedSource =
  | (Source<'huggingface'> & { readonly repo: string; readonly revision: string; readonly files: readonly string[] })
  | (Source<'s3'> & { readonly url: string; readonly region: string; readonly files: readonly string[] })
  | (Source<'http'> & { readonly url: string })
  | (Source<'ollama'> & { readonly model: string })
  | Source<'inline'>
  | Source<'output'>;

export type ResolvedInput = Pick<JobInput, 'id' | 'volume' | 'cache_seconds'> & { readonly source: ResolvedSource };

/** Throws `step.unresolved`, naming the reference, for what is not known. */
export function resolveInput({ id, volume, cache_seconds, source }: JobInput, all: KnownValues): ResolvedInput {
  const known = rationed(all);
  const text = (value: Parameters<typeof resolveText>[0]) => resolveText(value, known);
  const resolved = { id, volume, cache_seconds };
  switch (source.kind) {
    case 'huggingface': {
      const { repo, revision, files } = source;
      return {
        ...resolved,
        source: { ...source, repo: text(repo), revision: text(revision), files: files.map(text) },
      };
    }
    case 's3': {
      const { url, region, files } = source;
      return { ...resolved, source: { ...source, url: text(url), region: text(region), files: files.map(text) } };
    }
    case 'http':
      return { ...resolved, source: { ...source, url: text(source.url) } };
    case 'ollama':
      return { ...resolved, source: { ...source, model: text(source.model) } };
    case 'inline':
    case 'output':
      return { ...resolved, source };
  }
}
