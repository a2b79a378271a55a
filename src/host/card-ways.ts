/** How this host can hand out its cards: the names in its CDI specs, the toolkit's hook, and the device nodes of AMD cards. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Full names, `kind=device`, of everything that the specs in these folders describe. One that cannot be read counts for nothing. */
export async function readCdiNames(folders: readonly string[]): Promise<Set<string>> {
  const names = new Set<string>();
  for (const folder of folders) {
    for (const file of await listFolder(folder)) {
      if (/\.(json|yaml|yml)$/.test(file)) {
        for (const name of await readSpec(join(folder, file))) {
          names.add(name);
        }
      }
    }
  }
  return names;
}

async function readSpec(file: string): Promise<string[]> {
  // YAML reads JSON as well. Loaded on hosts that have such specs only.
  const { parse, YAMLParseError } = await import('yaml');
  try {
    const spec = parse(await readFile(file, 'utf8')) as { kind?: unknown; devices?: unknown } | null;
    const devices = Array.isArray(spec?.devices) ? (spec.devices as ({ name?: unknown } | null)[]) : [];
    return devices.flatMap((device) => (typeof device?.name === 'string' ? [`${spec?.kind}=${device.name}`] : []));
  } catch (error) {
    if (error instanceof YAMLParseError) {
      return [];
    }
    return absent([])(error);
  }
}

/** The engine asks for it by its name when it starts; without it, it knows no NVIDIA cards but those of CDI specs. */
export const engineHook = 'nvidia-container-runtime-hook';

export interface NvidiaWay {
  /** Null where nothing hands these cards out. */
  readonly by: 'cdi' | 'nvidia_ids' | null;
  /** Path of the toolkit's hook, where it was looked for and found. */
  readonly hook: string | null;
  /** Cards that the CDI specs do not name, where there are specs of any kind. */
  readonly unnamed: readonly string[];
}

/** How an engine that reads these CDI folders hands out these NVIDIA cards. */
export async function nvidiaWay(
  uuids: readonly string[],
  cdiFolders: readonly string[],
  find: (program: string) => Promise<string | null>,
): Promise<NvidiaWay> {
  const names = await readCdiNames(cdiFolders);
  const unnamed = uuids.filter((uuid) => !names.has(`nvidia.com/gpu=${uuid}`));
  if (unnamed.length === 0) {
    return { by: 'cdi', hook: null, unnamed };
  }
  const path = await find(engineHook);
  return { by: path === null ? null : 'nvidia_ids', hook: path, unnamed: names.size > 0 ? unnamed : [] };
}

export interface DeviceNode {
  readonly path: string;
  /** Group of the host that owns it. */
  readonly group: number;
}

/** A device node with the group that owns it; undefined where there is none. */
export async function deviceNode(path: string, root = '/'): Promise<DeviceNode | undefined> {
  const found = await stat(join(root, path)).catch(absent(undefined));
  return found && { path, group: found.gid };
}

async function listFolder(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(absent([]))) ?? [];
}

function absent<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) {
      return value;
    }
    throw error;
  };
}
