/**
 * The container engine as the tasks see it. Nothing in here names a vendor; `docker/` implements it through the gate.
 *
 * Every call has a deadline of its own: a hung engine is `engine.timed_out`, a missing engine or gate
 * `engine.unavailable`, anything the gate refuses carries the gate's code. Calls that say "ensure" are safe to repeat.
 */
import type { Readable } from 'node:stream';
import { type Static, Type } from 'typebox';
import type { BuildImage } from '../contract/job-build.ts';
import type { JobCache } from '../contract/job-plan.ts';
import type { RegistryImage } from '../contract/workload-oci-launch.ts';
import type { ImageFacts } from '../policy/container-request.ts';
import type { EgressRequest } from '../policy/egress-request.ts';
import type { ImageConfig } from '../policy/image-config.ts';
import type { AnyContainerRequest } from '../policy/job-request.ts';

const secretText = Type.String({ minLength: 1, maxLength: 65536 });

/** Credential for one pull. Handed to the engine for this one pull, never stored. */
export const PullCredential = Type.Object(
  {
    bearer: Type.Optional({ ...secretText, description: 'Registry token; excludes the other two.' }),
    username: Type.Optional({ ...secretText, description: 'Static user, with `password`.' }),
    password: Type.Optional({ ...secretText, description: 'Static password, with `username`.' }),
  },
  { additionalProperties: false, description: 'How the registry is told who asks.' },
);
export type PullCredential = Static<typeof PullCredential>;

export interface PullProgress {
  readonly layers: number;
  readonly layersDone: number;
  readonly bytes: number;
  /** Null while the engine does not know yet. */
  readonly bytesTotal: number | null;
}

export interface PullOptions {
  readonly signal: AbortSignal;
  /** Gives the credential for each attempt; asked again once after the registry refused it. Given up with the signal. */
  readonly credential?: ((signal: AbortSignal) => Promise<PullCredential | undefined>) | undefined;
  /** At most a few times a second. */
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
  /** Before each wait for another attempt. */
  readonly onRetry?: ((retry: { attempt: number; delayMs: number; error: unknown }) => void) | undefined;
  /** Bytes that must stay free on the engine's disk (host reserve). */
  readonly diskReserveBytes: number;
  readonly makeRoom?: MakeRoom | undefined;
}

/** Tries to have so many bytes free on the engine's disk: asked before something fails for want of them. Given up with the signal. */
export type MakeRoom = (bytes: number, signal: AbortSignal) => Promise<void>;

export interface BuildRequest {
  readonly projectId: string;
  readonly source: BuildImage;
  /** Name of the network that its commands have; none if absent. */
  readonly network?: string | undefined;
}

export interface BuildOptions {
  readonly signal: AbortSignal;
  /** What the engine and the commands write, as it comes, but for what `onProgress` tells. */
  readonly onLog?: ((text: string) => void) | undefined;
  /** With each instruction that begins, counted from 1; `label` is what `labelOf` says. */
  readonly onProgress?: ((progress: { step: number; steps: number; text: string; label?: string }) => void) | undefined;
  /** What people call the command that an instruction is of, by how many instructions come behind it. */
  readonly labelOf?: ((behind: number) => string | undefined) | undefined;
  /** Bytes that must stay free on the engine's disk, also while it builds. */
  readonly diskReserveBytes: number;
  readonly makeRoom?: MakeRoom | undefined;
}

/** An image that is downloaded, by its hash. */
export interface ImportRequest {
  readonly projectId: string;
  /** `sha3:…` */
  readonly hash: string;
}

export interface ImportOptions {
  readonly signal: AbortSignal;
  readonly config: ImageConfig;
  /** Bytes that must stay free on the engine's disk, also while it is imported. */
  readonly diskReserveBytes: number;
  readonly makeRoom?: MakeRoom | undefined;
}

export interface ContainerFacts {
  readonly id: string;
  readonly name: string;
  readonly imageId: string;
  readonly imageReference: string;
  readonly labels: Readonly<Record<string, string>>;
  /** created, running, paused, restarting, removing, exited, dead */
  readonly status: string;
  readonly pid: number;
  readonly exitCode: number | null;
  readonly oomKilled: boolean;
  /** The engine's error of the last start, or empty. */
  readonly error: string;
  /** starting, healthy, unhealthy; null where the image has no health check. */
  readonly health: string | null;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly restartCount: number;
  readonly execIds: readonly string[];
  readonly cpuCores: number;
  readonly memoryBytes: number;
  readonly hostPorts: readonly number[];
}

/** What a list costs nothing extra to know about each of our containers. */
export interface ContainerSummary {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly status: string;
  readonly cpuCores: number;
  readonly memoryBytes: number;
}

/** A network of ours. */
export interface NetworkSummary {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** A volume of ours, of a job. */
export interface VolumeSummary {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** A cache of a revision of a project. */
export interface CacheSummary {
  /** Name of its volume. */
  readonly volume: string;
  readonly name: string;
  readonly class: JobCache['class'];
  readonly project_id: string;
  readonly revision_sha256: string;
  /** RFC 3339: when a container with it was last made or started; null where nobody remembers. */
  readonly used_at: string | null;
  /** What it held when it was measured; null where that was before its last use. */
  readonly bytes: number | null;
  /** What it was last found to hold, also in use; null where it never was. Absent from gates before this was said. */
  readonly last_bytes?: number | null;
  /** What it may hold before it is emptied; null where that is whatever it likes. */
  readonly max_bytes: number | null;
  readonly held_by?: HeldBy;
  /** True while a container has it, whether it runs or not. */
  readonly in_use: boolean;
}

export interface MeasuredDisk {
  readonly caches: readonly CacheSummary[];
  /** Bytes in volumes of its own and written in its containers, by job. */
  readonly jobs: Readonly<Record<string, number>>;
}

/** An image that was built on this host for a revision of a project, or imported for a project. */
export interface BuiltSummary {
  readonly project_id: string;
  /** What `removeBuilt` calls it, within its project. */
  readonly key: string;
  /** Of an import its key. */
  readonly revision_sha256: string;
  /** Hash of an image that was downloaded and imported. */
  readonly payload?: string;
  readonly image_id: string;
  /** Of all its layers, those of its bases as well. */
  readonly bytes: number;
  /** Of those that nothing else stands on: at least so much goes with it. Absent from gates before this was said. */
  readonly own_bytes?: number;
  /** RFC 3339: when a job last asked for it, or when it was built. */
  readonly used_at: string;
  /** True while a container is made of it, whether it runs or not. */
  readonly in_use: boolean;
  readonly held_by?: HeldBy;
}

/** What builds have left on this host. */
export interface HostBuilds {
  readonly images: readonly BuiltSummary[];
  /** Bytes of layers that `removeLayers` would take away: at least. */
  readonly unusedBytes: number;
}

/** Whose containers have it: ids of jobs and of groups of services. Absent where anything else has it, and from gates before this was said. */
type HeldBy = readonly string[];

export interface RemoveLayersOptions {
  /** Made by then, in milliseconds since 1970; whenever, if undefined. */
  readonly untilMs: number | undefined;
  readonly signal: AbortSignal;
}

export interface RemovedLayers {
  readonly layers: number;
  readonly bytes: number;
}

export interface CreatedContainer {
  readonly id: string;
  /** True if the gate had to make the scratch root: nothing of an earlier launch is in it. */
  readonly freshData: boolean;
}

/** Characters of a command's output that are kept. */
export const execTailLength = 16 * 1024;

export interface ExecResult {
  readonly exitCode: number;
  /** The last {@link execTailLength} characters of stdout and stderr, interleaved as they came; `…` stands for the rest. */
  readonly tail: string;
  /** True if its output was not seen to the end: an earlier agent started it, or the stream was cut. The code may then be the engine's own 126. */
  readonly adopted: boolean;
}

export interface ExecOptions {
  readonly signal: AbortSignal;
  readonly onOutput?: ((channel: LogChannel, text: string) => void) | undefined;
  /** Variables beside those of the container, or in their place. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Hears how the engine calls the exec before it is started: whoever writes that down can join it later. */
  readonly onCreated?: ((exec: string) => void) | undefined;
  /**
   * Join the exec of that name, whether it has ended, runs, or was never started: it is started then. So nothing is ever run
   * twice. `engine.failed` where the engine does not know it any more.
   */
  readonly join?: string | undefined;
  /** Join a still running exec with the same argument vector instead of starting a second one. */
  readonly adopt?: boolean | undefined;
}

export type LogChannel = 'stdout' | 'stderr';

export interface LogEntry {
  /** Opaque position after this entry; give it as `cursor` to go on behind it. */
  readonly cursor: string;
  /** RFC 3339 with nanoseconds, as the engine wrote it. */
  readonly time: string;
  readonly channel: LogChannel;
  /** At most 16 KiB; a longer line comes as several entries with `partial` set on all but the last. */
  readonly data: Buffer;
  readonly partial: boolean;
  /** True if what stood between the cursor and this entry is gone: the engine has rotated it away. */
  readonly afterGap?: boolean;
}

export interface LogOptions {
  readonly signal: AbortSignal;
  readonly cursor?: string | undefined;
  readonly tail?: number | undefined;
  readonly follow: boolean;
}

export interface ContainerStats {
  readonly time: string;
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  readonly memoryLimitBytes: number;
  readonly networkReceivedBytes: number;
  readonly networkSentBytes: number;
  readonly pids: number;
}

export interface EngineEvent {
  /** The engine's own time, RFC 3339. */
  readonly time: string;
  readonly container: string;
  readonly instance: string;
  /** start, die, oom, kill, stop, destroy, health_status: healthy, … */
  readonly action: string;
  readonly exitCode: number | null;
}

export interface EngineFacts {
  readonly version: string;
  readonly apiVersion: string;
  readonly runtimes: readonly string[];
  /** What the engine runs for each of them that is a program, and with which arguments. */
  readonly runtimePrograms: ReadonlyMap<string, { readonly path: string; readonly args: readonly string[] }>;
  readonly storageDriver: string;
  readonly cgroupDriver: string;
  readonly cgroupVersion: string;
  readonly rootDir: string;
  /** Runtime of a container that names none. */
  readonly defaultRuntime: string;
  /** Limits that the engine can really enforce. */
  readonly limits: { readonly memory: boolean; readonly cpu: boolean; readonly pids: boolean };
  /** True if containers live on while the engine restarts. */
  readonly liveRestore: boolean;
  /** Folders with the CDI specs that it resolves device names by; empty where it does not. */
  readonly cdiFolders: readonly string[];
}

/** What became of the folders of an instance on the host. */
export interface DataRemoval {
  readonly removed: readonly string[];
  /** Scratch folders that are there still. */
  readonly kept: readonly string[];
}

/** What is at a path of a container, links followed. */
export interface PathFacts {
  readonly kind: 'file' | 'folder' | 'other';
  /** True if somebody may execute it. */
  readonly executable: boolean;
}

/** A tar, read once: each chunk is there until the next is asked for. */
export interface Archive extends AsyncIterable<Buffer> {
  /** Ends it at any time, also where nobody has begun to read. */
  destroy(): void;
}

export interface ContainerEngine {
  facts(signal: AbortSignal): Promise<EngineFacts>;
  /** Pulls by digest, one pull per digest at a time, and verifies by inspection what the engine then holds. */
  pull(image: Pick<RegistryImage, 'reference'>, options: PullOptions): Promise<ImageFacts>;
  /** Undefined if the engine does not have it. `reference` is a digest reference or an image id. */
  image(reference: string, signal: AbortSignal): Promise<ImageFacts | undefined>;

  /** What `build` made of the same source for the same project, if the engine has it. */
  builtImage(request: BuildRequest, signal: AbortSignal): Promise<ImageFacts | undefined>;
  /**
   * `context` is a plain tar whose first entry, `.gpuaas.Dockerfile`, is what `renderDockerfile` has written; its bases were pulled
   * before. `build.failed`, `build.timed_out`, `build.denied`, `build.unsupported`, `disk.full`, and what the gate refuses.
   */
  build(request: BuildRequest, context: Readable, options: BuildOptions): Promise<ImageFacts>;
  /** What `importImage` made of that hash for the same project, if the engine has it. */
  importedImage(request: ImportRequest, signal: AbortSignal): Promise<ImageFacts | undefined>;
  /**
   * Makes an image of one layer of a plain tar of files, which is read to its end or destroyed; fails as that does where it breaks.
   * `payload.denied`, `disk.full`, and what the gate refuses.
   */
  importImage(request: ImportRequest, tar: Readable, options: ImportOptions): Promise<ImageFacts>;
  /** Looks at no more than the list of images and that of containers. */
  builds(signal: AbortSignal): Promise<HostBuilds>;
  /** `image.in_use`; false if there was none. An image that the engine has for others as well stays, and is no longer this build's. */
  removeBuilt(built: Pick<BuiltSummary, 'project_id' | 'key'>, signal: AbortSignal): Promise<boolean>;
  /** Layers that builds have left and no image is made of; none of a project that has one at work. */
  removeLayers(options: RemoveLayersOptions): Promise<RemovedLayers>;

  /** Our sealed containers only. */
  list(signal: AbortSignal): Promise<ContainerSummary[]>;
  /** Undefined if there is none; `name.conflict` if the name belongs to something that is not ours. */
  inspect(name: string, signal: AbortSignal): Promise<ContainerFacts | undefined>;
  /** `name.conflict` where the name is taken. The volumes of a job that it names are made with it. */
  create(name: string, request: AnyContainerRequest, signal: AbortSignal): Promise<CreatedContainer>;
  /** Starting what runs already succeeds. `port.conflict` where a port is taken. */
  start(name: string, signal: AbortSignal): Promise<void>;
  stop(name: string, graceSeconds: number, signal: AbortSignal): Promise<void>;
  /** Removes container and anonymous volumes; false if there was none. */
  remove(name: string, signal: AbortSignal): Promise<boolean>;
  /** Resolves with the exit code when the container ends. */
  wait(name: string, signal: AbortSignal): Promise<number>;

  exec(name: string, argv: readonly string[], options: ExecOptions): Promise<ExecResult>;
  logs(name: string, options: LogOptions): AsyncGenerator<LogEntry>;
  stats(name: string, signal: AbortSignal): Promise<ContainerStats>;
  /** Those of the past that the engine still remembers, from `since` on, then those to come; `until` ends it there. */
  events(options: {
    since?: string | undefined;
    until?: string | undefined;
    signal: AbortSignal;
  }): AsyncGenerator<EngineEvent>;

  /** The instance's own network, cut from the pool by the gate. */
  ensureNetwork(name: string, labels: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void>;
  removeNetwork(name: string, signal: AbortSignal): Promise<boolean>;
  /** Our sealed networks only. */
  networks(signal: AbortSignal): Promise<NetworkSummary[]>;

  /**
   * Unpacks a tar into a volume of a container of a job that was created and never started, at the very path where the volume is
   * mounted. Safe to repeat with the same content; reads `tar` to its end or destroys it. `disk.full` where there is no room.
   */
  putArchive(name: string, path: string, tar: Readable, signal: AbortSignal): Promise<void>;
  /**
   * A file or folder of a container of a job as a tar, at the pace of the reader; `path` is in one of its volumes. Undefined
   * where nothing is there. To read it fails where the engine or the connection goes away.
   */
  getArchive(name: string, path: string, signal: AbortSignal): Promise<Archive | undefined>;
  /**
   * What is at an absolute path of a container of a job that was created without volumes and never started; undefined where
   * nothing is. Links lead nowhere but in the container.
   */
  statPath(name: string, path: string, signal: AbortSignal): Promise<PathFacts | undefined>;
  /** Our sealed volumes only. */
  volumes(signal: AbortSignal): Promise<VolumeSummary[]>;
  /** False if there was none; `engine.failed` while a container has it, running or not. */
  removeVolume(name: string, signal: AbortSignal): Promise<boolean>;
  /** All that are kept. With `measure` the engine looks at every file of them before, which takes it a while. */
  caches(options: { readonly measure: boolean; readonly signal: AbortSignal }): Promise<CacheSummary[]>;
  /** The sizes of all of them as they are now, and of what jobs have there. The engine looks at every file. */
  measureDisk(signal: AbortSignal): Promise<MeasuredDisk>;
  /** With `empty` it stays, without what it held, and is not filled from an image again. `cache.in_use`; false if there was none. */
  removeCache(volume: string, options: { readonly empty: boolean; readonly signal: AbortSignal }): Promise<boolean>;
  /**
   * Makes the folder on the host that the inputs of a job for this volume are put into, and that its containers may have mounted;
   * returns its path. The caller may write in it, not move it. It goes with `removeData`.
   */
  ensureInputs(job: string, volume: string, signal: AbortSignal): Promise<string>;

  /**
   * Has a job with a list of addresses a network without a way out, and in it a proxy that listens, made by the gate; true where the proxy
   * had to be begun. The container is called after the job and `egress`. `egress.unavailable`, `network.exhausted`, `name.conflict`.
   */
  ensureEgress(job: string, request: EgressRequest, signal: AbortSignal): Promise<boolean>;

  /** Writes opened secret files to memory, for the instance's next create. */
  putSecrets(instance: string, files: Readonly<Record<string, Buffer>>, signal: AbortSignal): Promise<void>;
  /** Removes secret files, and with `data` the scratch folders and the inputs. */
  removeData(instance: string, what: { data: boolean }, signal: AbortSignal): Promise<DataRemoval>;
  /** Removes all secrets and all data of the allocation, which has no container any more. Safe to repeat. */
  wipe(signal: AbortSignal): Promise<DataRemoval>;
  /** Closes idle connections. */
  close(): void;
}
