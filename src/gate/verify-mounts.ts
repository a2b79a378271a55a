/**
 * Compares what a started container really sees with what it may see.
 *
 * The engine resolves the path of a bind mount again when it starts a container, as root and following links, so a
 * folder that was in order a moment ago may by then be a link to anything. The kernel's own table of the running
 * process is the truth: every line of it must be explained, and every mount that was asked for must be there.
 */
import type { PathError } from '../contract/validate.ts';
import { isCardMount } from './card-mounts.ts';
import type { PreparedMount } from './mount-folders.ts';
import type { MountEntry } from './mount-table.ts';

export interface NamedVolume {
  readonly name: string;
  readonly target: string;
  readonly readOnly: boolean;
}

export interface AllowedMounts {
  readonly containerId: string;
  readonly binds: readonly Omit<PreparedMount, 'folder'>[];
  /** Engine volumes of a job. */
  readonly named: readonly NamedVolume[];
  /** Paths that the image declares as volumes: the engine mounts a new, empty one of its own at each. */
  readonly volumes: readonly string[];
  /** gVisor keeps folders read-only itself: the mounts of its file server are writable all the same. */
  readonly readOnlyBy: 'mount' | 'sandbox';
  /** True for a container with cards of NVIDIA, whose toolkit mounts what belongs to them. */
  readonly cards: boolean;
}

/** What every container has, by mount point: nothing in here can be reached by a request or by a folder of a user. */
const kernelMounts: readonly { readonly at: RegExp; readonly types: readonly string[]; readonly root: RegExp }[] = [
  { at: /^\/$/, types: [], root: /^/ },
  { at: /^\/proc$/, types: ['proc'], root: /^\/$/ },
  // Parts of /proc that are made read-only, or hidden behind an empty folder or the null device.
  { at: /^\/proc\/.+/, types: ['proc'], root: /^\/[a-z-]+$/ },
  { at: /^\/proc\/.+/, types: ['tmpfs', 'devtmpfs'], root: /^\/(?:null)?$/ },
  { at: /^\/dev$/, types: ['tmpfs'], root: /^\/$/ },
  { at: /^\/dev\/(?:pts|console)$/, types: ['devpts'], root: /^\// },
  { at: /^\/dev\/shm$/, types: ['tmpfs'], root: /^\/$/ },
  { at: /^\/dev\/mqueue$/, types: ['mqueue'], root: /^\/$/ },
  { at: /^\/sys$/, types: ['sysfs'], root: /^\/$/ },
  { at: /^\/sys\/fs\/cgroup$/, types: ['tmpfs'], root: /^\/$/ },
  { at: /^\/sys\/fs\/cgroup(?:\/[a-z0-9_,=-]+)?$/, types: ['cgroup', 'cgroup2'], root: /^\// },
  { at: /^\/sys\/.+/, types: ['tmpfs'], root: /^\/$/ },
];

/** Files that the engine keeps for each container and mounts over those of the image. */
const engineFiles = ['/etc/resolv.conf', '/etc/hostname', '/etc/hosts'];
/** The engine's own init, from wherever its package keeps it, to where `/sbin` leads in the image. */
const engineInit = ['/sbin/docker-init', '/usr/sbin/docker-init', '/usr/bin/docker-init'];

const anonymousVolume = /\/volumes\/[0-9a-f]{64}\/_data$/;

/** Errors that are told; a wrong folder can bring hundreds of mounts with it. */
const maxErrors = 20;

/** What is there and may not be, or is not there and should, the first 20; empty if the mounts are right. */
export function compareMounts(table: readonly MountEntry[], allowed: AllowedMounts): PathError[] {
  const errors: PathError[] = [];
  const seen = new Set<string>();
  for (const entry of table) {
    const code = seen.has(entry.mountPoint) ? 'mounted_twice' : judgeEntry(entry, allowed);
    if (code !== undefined) errors.push(describe(entry, code));
    seen.add(entry.mountPoint);
  }
  for (const { target } of [...allowed.binds, ...allowed.named]) {
    if (!seen.has(target)) errors.push({ path: target, code: 'missing', message: 'is not mounted' });
  }
  return errors.slice(0, maxErrors);
}

/** Undefined if the entry is explained. */
function judgeEntry(entry: MountEntry, allowed: AllowedMounts): string | undefined {
  const { containerId, readOnlyBy, cards } = allowed;
  const { mountPoint, root, options, fsType } = entry;
  const isReadOnly = readOnlyBy === 'sandbox' || options.includes('ro');
  const folder = folderAt(entry, allowed);
  if (folder !== undefined) {
    if (!folder.isIt) return folder.otherwise;
    return folder.readOnly && !isReadOnly ? 'writable' : undefined;
  }
  if (engineFiles.includes(mountPoint)) {
    return root.endsWith(`/${containerId}/${mountPoint.slice('/etc/'.length)}`) ? undefined : 'wrong_file';
  }
  if (engineInit.includes(mountPoint)) {
    return isReadOnly ? undefined : 'writable';
  }
  const isKernels = kernelMounts.some(
    ({ at, types, root: roots }) =>
      at.test(mountPoint) && (types.length === 0 || types.includes(fsType)) && roots.test(root),
  );
  return isKernels || (cards && !isBelowFolder(mountPoint, allowed) && isCardMount(entry)) ? undefined : 'unexpected';
}

/** What may be mounted there of folders of the host, volumes of the job and volumes that the image declares; undefined for none. */
function folderAt({ mountPoint, root, device }: MountEntry, { binds, named, volumes }: AllowedMounts) {
  const bind = binds.find(({ target }) => target === mountPoint);
  if (bind !== undefined) {
    const isIt = bind.root === root && bind.device === device;
    return { isIt, readOnly: bind.readOnly, otherwise: 'wrong_folder' };
  }
  const own = named.find(({ target }) => target === mountPoint);
  if (own !== undefined) {
    return { isIt: root.endsWith(`/volumes/${own.name}/_data`), readOnly: own.readOnly, otherwise: 'wrong_volume' };
  }
  return volumes.includes(mountPoint)
    ? { isIt: anonymousVolume.test(root), readOnly: false, otherwise: 'wrong_volume' }
    : undefined;
}

/** A folder brings what is mounted in it, whatever it is called. */
function isBelowFolder(mountPoint: string, { binds, named, volumes }: AllowedMounts): boolean {
  return [...[...binds, ...named].map(({ target }) => target), ...volumes].some((folder) =>
    mountPoint.startsWith(`${folder}/`),
  );
}

function describe({ mountPoint, root, device, fsType }: MountEntry, code: string): PathError {
  return { path: mountPoint, code, message: `shows ${root} of ${fsType} ${device}` };
}
