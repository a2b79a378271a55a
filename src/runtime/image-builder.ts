/** What builds images of jobs on this host. */
import type { Readable } from 'node:stream';
import type { BuildImage } from '../contract/job-build.ts';
import type { ImageFacts } from '../policy/container-request.ts';

export interface BuildRequest {
  /** Whose image it is: nobody else may run it. */
  readonly projectId: string;
  readonly source: BuildImage;
}

export interface BuildProgress {
  /** From 1 on. */
  readonly step: number;
  readonly steps: number;
  /** The instruction. */
  readonly text: string;
}

export interface BuildOptions {
  readonly signal: AbortSignal;
  /** Each line that the build says. */
  readonly onLog: (line: string) => void;
  readonly onProgress: (progress: BuildProgress) => void;
  readonly diskReserveBytes: number;
}

export interface ImageBuilder {
  /** What was built of exactly that for that project, and is still there; undefined where there is nothing. */
  builtImage(request: BuildRequest, signal: AbortSignal): Promise<ImageFacts | undefined>;
  /** `tar` gives the plain tar of the revision from its beginning, and may be asked more than once. Its bases were pulled before. */
  build(request: BuildRequest, tar: () => Readable, options: BuildOptions): Promise<ImageFacts>;
}
