/**
 * Where a workload may have its folders: names on the host, targets in the container.
 *
 * A source is never taken from a task: it is put together from host policy, the identity and an identifier, so it
 * cannot climb. A target is a plain path that hides nothing the isolation or the image relies on. Which folder really
 * lies at the source (links, owner) is the gate's business, at the time of the mount.
 */
import { AgentError } from '../contract/failures.ts';
import { type Identity, identifierPattern } from '../contract/identifiers.ts';
import type { PathError } from '../contract/validate.ts';
import type { Mount } from '../contract/workload-oci-launch.ts';
import { type HostPolicy, projectRoot, workloadRoot } from './host-policy.ts';

/** Where opened secret files appear in the container. Only the renderer mounts here. */
export const secretsTarget = '/run/secrets';

const programs = "programs and libraries of the image, and the engine's own init, are there";
const kernel = 'the kernel shows itself there';
const runtimeFiles = 'sockets, secrets and device requests of the container runtime are there';

/**
 * Nothing may be mounted at these paths, below them or above them. `/home/x`, `/mnt/x`, `/media/x`, `/srv/x`, `/opt/x`,
 * `/tmp`, `/var/lib/x`, `/workspace`, `/data` and the like are free.
 */
const systemPaths: Readonly<Record<string, string>> = {
  '/proc': kernel,
  '/sys': kernel,
  '/dev': 'devices and /dev/shm are there',
  '/etc': 'users, groups, the loader and name resolution are configured there',
  '/usr': programs,
  '/bin': programs,
  '/sbin': programs,
  '/lib': programs,
  '/lib32': programs,
  '/lib64': programs,
  '/libx32': programs,
  '/boot': 'it belongs to the machine',
  '/root': 'it belongs to uid 0, as which no workload runs',
  '/run': runtimeFiles,
  '/var/run': runtimeFiles,
  '/var/lock': runtimeFiles,
  '/opt/venv': 'the Python environment of the curated images is there, and its packages must go with the container',
  '/.dockerenv': 'the engine puts a file there',
};

const driverFiles = "the engine's init and the files of a card's driver are mounted there at the start";

/**
 * The same for a container of a job, which may be root and may keep its data where its image likes: closed is what engine and
 * runtime mount something into after the volumes, since another container of the job could meanwhile change what is there.
 */
const jobSystemPaths: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    Object.entries(systemPaths).filter(([path]) => !['/usr', '/boot', '/root', '/opt/venv'].includes(path)),
  ),
  ...Object.fromEntries(
    ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32', 'local/bin', 'local/lib', 'local/nvidia', 'share/nvidia'].map(
      (name) => [`/usr/${name}`, driverFiles],
    ),
  ),
};

/** An image may declare a volume anywhere else: it starts as a copy of the image's own files and goes with it. */
const closedToVolumes = ['/proc', '/sys', '/dev', '/run', '/var/run'];

const closedToWorkingDir = ['/proc', '/sys', '/dev'];

const identifier = new RegExp(identifierPattern);
const maxSegmentLength = 255;
const targetText = /^(?:\/[A-Za-z0-9._+@%=~-]+)+$/;

/** Every mount with a bad name or target, a target in or over another, or a folder that is mounted twice. */
export function checkMounts(mounts: readonly Mount[]): PathError[] {
  const errors: PathError[] = [];
  const seen = new Map<string, number>();
  for (const [index, { name, mode }] of mounts.entries()) {
    const path = `/mounts/${index}/name`;
    const first = seen.get(`${mode} ${name}`);
    if (!identifier.test(name)) {
      errors.push({ path, code: 'pattern', message: `must match ${identifierPattern}` });
    } else if (first !== undefined) {
      errors.push({ path, code: 'repeated', message: `mounts the folder of /mounts/${first} a second time` });
    }
    seen.set(`${mode} ${name}`, first ?? index);
  }
  const targets = mounts.map(({ path }) => path);
  return [...errors, ...checkTargets(targets, (index) => `/mounts/${index}/path`)];
}

/** Every target that is not plain, touches a system path, or lies at, in or over an earlier one. */
export function checkTargets(
  targets: readonly string[],
  pathOf: (index: number) => string,
  { ofJob = false } = {},
): PathError[] {
  const closed = ofJob ? jobSystemPaths : systemPaths;
  return targets.flatMap((target, index) => {
    const error = judgeTarget(target, closed) ?? judgeOverlap(target, targets.slice(0, index), pathOf);
    return error ? [{ path: pathOf(index), ...error }] : [];
  });
}

/**
 * Sentences about volumes of the image that this host does not accept: over a path of the runtime, or inside one of the
 * targets, where the engine would make a folder as root in the user's home and what is written there would be lost.
 */
export function describeBadVolumes(volumes: readonly string[], targets: readonly string[]): string[] {
  return volumes.flatMap((volume) => {
    const path = normalise(volume);
    const system = closedToVolumes.find((closed) => isWithin(path, closed));
    const target = targets.find((candidate) => path !== candidate && isWithin(path, candidate));
    if (path === '/' || system !== undefined) {
      return [`the image declares the volume ${path}, which would hide a path of the runtime`];
    }
    return target === undefined
      ? []
      : [`the image declares the volume ${path} inside the mount ${target}; mount ${path} itself or another path`];
  });
}

/**
 * Sentences about the folder the image starts in that this host does not accept: where the kernel shows itself (an old
 * runtime follows `/proc/self/fd` out of the container), or inside one of the targets, where the engine would make it as
 * root in the user's home. Links inside the image are the runtime's to deal with.
 */
export function describeBadWorkingDir(workingDir: string, targets: readonly string[]): string[] {
  const path = normalise(workingDir);
  const system = closedToWorkingDir.find((closed) => isWithin(path, closed));
  if (system !== undefined) return [`the image starts in ${path}, and ${system} is closed to that`];
  const target = targets.find((candidate) => path !== candidate && isWithin(path, candidate));
  return target === undefined ? [] : [`the image starts in ${path}, inside the mount at ${target}`];
}

/**
 * What is wrong with the folder that a container of a job starts in; undefined if nothing is. It may lie in a volume of the job:
 * the engine makes it there where it is missing.
 */
export function describeBadJobFolder(workingDir: string): string | undefined {
  const path = normalise(workingDir);
  const system = closedToWorkingDir.find((closed) => isWithin(path, closed));
  return system === undefined ? undefined : `starts in ${path}, and ${system} is closed to that`;
}

/** What is wrong with the folder that a container is to start in; undefined if nothing is. */
export function describeBadWorkDir(workDir: string): string | undefined {
  return workDir.startsWith('/') && !workDir.includes('\0')
    ? describeBadJobFolder(workDir)
    : 'must be an absolute path';
}

/** Absolute path of what is named from a folder of a container. */
export function placeOf(workDir: string, name: string): string {
  return normalise(name.startsWith('/') ? name : `${workDir}/${name}`);
}

/** Folder on the host of a mount; `mount.refused` where the allocation offers no such storage. */
export function mountSource(policy: HostPolicy, identity: Identity, { name, mode }: Mount): string {
  if (!identifier.test(name)) {
    throw new AgentError('mount.refused', { reason: 'The name of a mount is not an identifier.' });
  }
  if (mode === 'scratch') {
    return `${workloadRoot(policy, identity.app_instance_id)}/${name}`;
  }
  if (!policy.project_storage) {
    throw new AgentError('mount.refused', { reason: storageNotReady.message, mount: name });
  }
  return `${projectRoot(policy, identity.project_id)}/${name}`;
}

/** Every mount of project storage, while this allocation offers none. */
export function checkStorage(mounts: readonly Mount[], policy: HostPolicy): PathError[] {
  return mounts.flatMap(({ mode }, index) =>
    mode === 'project_storage' && !policy.project_storage
      ? [{ path: `/mounts/${index}/mode`, ...storageNotReady }]
      : [],
  );
}

const storageNotReady = {
  code: 'storage_not_ready',
  message: 'storage_not_ready: this allocation offers no project storage yet, choose scratch',
} as const;

interface TargetError {
  readonly code: string;
  readonly message: string;
}

function judgeTarget(target: string, closed: Readonly<Record<string, string>>): TargetError | undefined {
  if (target === '/') {
    return { code: 'system_path', message: 'must not be the root of the container' };
  }
  const segments = target.split('/').slice(1);
  const plain = targetText.test(target) && !segments.some((segment) => segment === '.' || segment === '..');
  if (!plain || segments.some((segment) => segment.length > maxSegmentLength)) {
    return {
      code: 'not_plain',
      message:
        'must be absolute, of letters, digits and ._+@%=~- between single slashes, without `.`, `..` or an end slash',
    };
  }
  const system = Object.keys(closed).find((path) => isWithin(target, path) || isWithin(path, target));
  return system === undefined
    ? undefined
    : { code: 'system_path', message: `must leave ${system} alone: ${closed[system]}` };
}

function judgeOverlap(
  target: string,
  earlier: readonly string[],
  pathOf: (index: number) => string,
): TargetError | undefined {
  const other = earlier.findIndex((candidate) => isWithin(target, candidate) || isWithin(candidate, target));
  return other < 0
    ? undefined
    : { code: 'overlap', message: `must not be the path of ${pathOf(other)}, nor inside it, nor around it` };
}

/** True if `path` is `folder` or lies below it. Both are normalised. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/** What the engine makes of a path that an image declares. */
function normalise(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') {
      kept.pop();
    } else if (segment !== '' && segment !== '.') {
      kept.push(segment);
    }
  }
  return `/${kept.join('/')}`;
}
