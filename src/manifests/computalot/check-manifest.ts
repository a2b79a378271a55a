/** Every contradiction in a manifest that its schema accepts, or in what is sure of one that it refuses. */
import { maxMounts } from '../../contract/job-plan.ts';
import { pointerToken } from '../../contract/pointer.ts';
import type { PathError } from '../../contract/validate.ts';
import { isOneLine } from '../../policy/dockerfile-lines.ts';
import { checkEnvironment } from '../../policy/environment.ts';
import { checkTargets, describeBadWorkDir, isWithin, placeOf } from '../../policy/mounts.ts';
import { each, ifSure, sure } from '../sure-parts.ts';
import type { ProjectManifest } from './manifest.ts';
import { hostOf, variableOf } from './names.ts';
import { describeBadPath, describeBadRelative, folderPath, platformFolder, platformMounts, touches } from './paths.ts';
import { checkRequirements, checkShares } from './requirements.ts';

export function checkManifest(manifest: ProjectManifest): readonly PathError[] {
  return [
    ...sure(() => checkRuntime(manifest.runtime)),
    ...sure(() => checkProgram(manifest.entrypoint.command, '/entrypoint/command')),
    ...sure(() => checkBuild(manifest.build ?? {})),
    ...sure(() => checkValidation(manifest.validation ?? {})),
    ...sure(() => checkInit(manifest)),
    ...sure(() => checkServices(manifest)),
    ...sure(() => checkRequirements(manifest.requirements ?? {}, '/requirements')),
    ...sure(() => checkShares(manifest)),
    ...checkPlaces(manifest),
    ...checkNames(manifest),
    ...sure(() => checkCacheNames(manifest)),
    ...sure(() => checkArtifacts(manifest)),
  ];
}

function checkRuntime(runtime: ProjectManifest['runtime']): readonly PathError[] {
  return [
    ...sure(() =>
      runtime.kind === 'tarball'
        ? [
            {
              path: '/runtime/kind',
              code: 'unsupported',
              message: 'must be oci: projects of the kind tarball are known, and not run here',
            },
          ]
        : [],
    ),
    ...sure(() =>
      runtime.sandbox === undefined
        ? [{ path: '/runtime/sandbox', code: 'required', message: 'is missing: it must be gvisor' }]
        : [],
    ),
    ...sure(() => checkWorkdir(runtime.workdir)),
  ];
}

function checkWorkdir(workdir: string): readonly PathError[] {
  const path = '/runtime/workdir';
  if (!workdir.startsWith('/')) {
    return [{ path, code: 'not_absolute', message: 'runtime.workdir must be an absolute path' }];
  }
  const bad = describeBadPath(workdir) ?? describeBadWorkDir(workdir);
  if (bad !== undefined) return [{ path, code: 'path', message: bad }];
  return touches(folderPath(workdir), platformFolder) && workdir !== '/' ? [taken(path)] : [];
}

function taken(path: string): PathError {
  return { path, code: 'system_path', message: `must leave ${platformFolder} alone: the platform has its own there` };
}

/** Schemas count words; the first one has to name something. */
function checkProgram(command: readonly string[], path: string): readonly PathError[] {
  return command[0] === '' ? [{ path: `${path}/0`, code: 'empty', message: 'must name a program' }] : [];
}

function checkRelative(text: string | undefined, path: string): readonly PathError[] {
  const bad = text === undefined ? undefined : describeBadRelative(text);
  return bad === undefined ? [] : [{ path, code: 'path', message: bad }];
}

function checkBuild(build: NonNullable<ProjectManifest['build']>): readonly PathError[] {
  return [
    ...sure(() => checkRelative(build.dockerfile, '/build/dockerfile')),
    ...sure(() => checkRelative(build.context, '/build/context')),
    ...sure(() => {
      const { args = {} } = build;
      return each(Object.keys(args), (name) =>
        /^[a-zA-Z_]\w*$/.test(name)
          ? []
          : [
              {
                path: `/build/args/${pointerToken(name)}`,
                code: 'malformed_name',
                message: 'must be a name of an ARG',
              },
            ],
      );
    }),
  ];
}

function checkValidation(validation: NonNullable<ProjectManifest['validation']>): readonly PathError[] {
  return [
    ...(['executables', 'files'] as const).flatMap((list) =>
      sure(() =>
        each(validation[list] ?? [], (name, index) => {
          const bad = describeBadPath(name);
          return bad === undefined ? [] : [{ path: `/validation/${list}/${index}`, code: 'path', message: bad }];
        }),
      ),
    ),
    ...sure(() =>
      each(validation.commands ?? [], ({ command }, index) =>
        checkProgram(command, `/validation/commands/${index}/command`),
      ),
    ),
  ];
}

function checkInit({ runtime }: ProjectManifest): readonly PathError[] {
  return each(runtime.init?.commands ?? [], (entry, index) => {
    const path = `/runtime/init/commands/${index}`;
    return [...checkCommand(entry, path), ...sure(() => checkLines(entry.env ?? {}, `${path}/env`))];
  });
}

function checkCommand(
  entry: {
    readonly command: readonly string[];
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string>>;
  },
  path: string,
): readonly PathError[] {
  return [
    ...sure(() => checkProgram(entry.command, `${path}/command`)),
    ...sure(() => checkRelative(entry.cwd, `${path}/cwd`)),
    ...sure(() => checkEnv(entry.env ?? {}, `${path}/env`)),
  ];
}

function checkEnv(env: Readonly<Record<string, string>>, path: string): readonly PathError[] {
  return each(Object.keys(env), (name) =>
    name.startsWith('COMPUTALOT_')
      ? [{ path: `${path}/${pointerToken(name)}`, code: 'reserved_variable', message: 'is for the platform to set' }]
      : checkEnvironment({ [name]: env[name] as string }, path),
  );
}

/** Each becomes a line of a Dockerfile. */
function checkLines(env: Readonly<Record<string, string>>, path: string): readonly PathError[] {
  return each(Object.keys(env), (name) =>
    isOneLine(env[name] as string)
      ? []
      : [{ path: `${path}/${pointerToken(name)}`, code: 'malformed_value', message: 'must be one line of text' }],
  );
}

function checkServices({ runtime }: ProjectManifest): readonly PathError[] {
  return each(runtime.services ?? [], (service, index) => {
    const path = `/runtime/services/${index}`;
    return [
      ...checkCommand(service, path),
      ...sure(() =>
        service.healthcheck === undefined
          ? []
          : checkProgram(service.healthcheck.command, `${path}/healthcheck/command`),
      ),
      ...sure(() =>
        // Each is the name of another container of the job, of its log, or of the container that asks.
        /^(task|build|check-\d+|localhost|ip6-\w+)$/.test(hostOf(service.name))
          ? [
              {
                path: `${path}/name`,
                code: 'reserved_name',
                message: 'is a name that the platform or the container itself has for something else',
              },
            ]
          : [],
      ),
    ];
  });
}

/** What is mounted, as hosts judge it: over nothing of the system, of the platform or of each other. */
function checkPlaces(manifest: ProjectManifest): readonly PathError[] {
  const placed: { readonly target: string; readonly at: string }[] = [];
  const place = (path: string, at: string): readonly PathError[] => {
    if (!path.startsWith('/')) return [{ path: at, code: 'not_absolute', message: 'must be an absolute path' }];
    const bad = describeBadPath(path);
    if (bad !== undefined) return [{ path: at, code: 'path', message: bad }];
    if (touches(folderPath(path), platformFolder) && path !== '/') return [taken(at)];
    placed.push({ target: folderPath(path), at });
    return [];
  };
  const lists: readonly [string, () => readonly { readonly path: string }[]][] = [
    ['/cache_mounts', () => manifest.cache_mounts ?? []],
    ['/data_sources', () => manifest.data_sources ?? []],
  ];
  const wrong = lists.flatMap(([list, read]) =>
    sure(() => each(read(), ({ path }, index) => place(path, `${list}/${index}/path`))),
  );
  const targets = placed.map(({ target }) => target);
  return [
    ...wrong,
    ...checkTargets(targets, (index) => placed[index]?.at ?? '', { ofJob: true }),
    ...checkLookedFor(manifest, targets),
    ...sure(() => checkCount(manifest)),
  ];
}

/** Programs and files that are looked for in the image, where it is hidden: before a container runs, nothing else is there. */
function checkLookedFor({ validation = {}, runtime }: ProjectManifest, targets: readonly string[]) {
  return (['executables', 'files'] as const).flatMap((list) =>
    sure(() =>
      each(validation[list] ?? [], (name, index) => {
        // A program without a slash is looked for along PATH, where nothing is mounted.
        if (list === 'executables' && !name.includes('/')) return [];
        const place = name.startsWith('/') ? placeOf('/', name) : placeOf(runtime.workdir, name);
        const message = 'is in a cache or in data, and so not in the image: only a command can look there';
        return targets.some((target) => isWithin(place, target))
          ? [{ path: `/validation/${list}/${index}`, code: 'in_volume', message }]
          : [];
      }),
    ),
  );
}

function checkCount({ cache_mounts: caches = [], data_sources: sources = [] }: ProjectManifest): readonly PathError[] {
  const most = maxMounts - platformMounts;
  if (caches.length + sources.length <= most) return [];
  const message = `makes more than ${most} caches and data sources together, which no container can have`;
  return [{ path: '/data_sources', code: 'maxItems', message }];
}

/** Names that are the same, or become the same variable or host. */
function checkNames(manifest: ProjectManifest): readonly PathError[] {
  const lists: readonly [string, () => readonly { readonly name: string }[], string][] = [
    ['/runtime/services', () => manifest.runtime.services ?? [], 'COMPUTALOT_SERVICE_'],
    ['/cache_mounts', () => manifest.cache_mounts ?? [], 'COMPUTALOT_CACHE_'],
    ['/data_sources', () => manifest.data_sources ?? [], ''],
  ];
  return [...lists.flatMap(([path, list, prefix]) => checkList(list, path, prefix)), ...checkArtifactNames(manifest)];
}

function checkList(
  list: () => readonly { readonly name: string }[],
  path: string,
  prefix: string,
): readonly PathError[] {
  const seen: string[] = [];
  return sure(() =>
    each(list(), (_entry, index) => {
      const name = ifSure(() => list()[index]?.name);
      if (name === undefined) return [];
      const same = seen.find((other) => other === name || (prefix !== '' && variableOf(other) === variableOf(name)));
      seen.push(name);
      if (same === undefined) return [];
      const message =
        same === name
          ? 'is there more than once'
          : `becomes the same variables as ${same}: ${prefix}${variableOf(name)}_…`;
      return [{ path: `${path}/${index}/name`, code: same === name ? 'duplicate_name' : 'colliding_name', message }];
    }),
  );
}

function checkArtifactNames(manifest: ProjectManifest): readonly PathError[] {
  const seen = new Set<string>();
  return (['upload', 'outputs'] as const).flatMap((list) =>
    sure(() =>
      each(manifest.artifacts?.[list] ?? [], ({ name }, index) => {
        const isThere = seen.has(name);
        seen.add(name);
        const path = `/artifacts/${list}/${index}/name`;
        return isThere ? [{ path, code: 'duplicate_name', message: 'is the name of another artifact' }] : [];
      }),
    ),
  );
}

function checkCacheNames(manifest: ProjectManifest): readonly PathError[] {
  return each(manifest.data_sources ?? [], ({ cache }, index) => {
    if (cache === undefined) return [];
    const { cache_mounts: mounts = [] } = manifest;
    const names = Array.from({ length: mounts.length }, (_, at) => mounts[at]?.name);
    return names.includes(cache)
      ? []
      : [{ path: `/data_sources/${index}/cache`, code: 'unknown_cache', message: 'names no cache of cache_mounts' }];
  });
}

function checkArtifacts(manifest: ProjectManifest): readonly PathError[] {
  return (['upload', 'outputs'] as const).flatMap((list) =>
    sure(() =>
      each(manifest.artifacts?.[list] ?? [], ({ path }, index) =>
        checkRelative(path, `/artifacts/${list}/${index}/path`),
      ),
    ),
  );
}
