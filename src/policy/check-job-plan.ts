/**
 * Holds the parts of a plan against each other, and against what no host does. Whoever accepts a job asks this as the host does
 * that is to carry it out, so that none is accepted which is refused there for what it is. Pure, and everything that is wrong
 * is reported at once. What a container may do is judged again where it is made.
 */
import { RE2JS } from 're2js';
import type { ExeCommand } from '../contract/exe-script.ts';
import { maxInlineBytes } from '../contract/job-inputs.ts';
import { JobPlan, type JobStep, maxTogether } from '../contract/job-plan.ts';
import type { ListValue, Reference, TextValue } from '../contract/job-values.ts';
import { egressName } from '../contract/names.ts';
import { pointerToken } from '../contract/pointer.ts';
import { maxRegexSize, regexSize } from '../contract/regex-size.ts';
import { judge, type PathError } from '../contract/validate.ts';
import { checkEnvironment } from './environment.ts';
import { checkTargets, describeBadWorkDir, isWithin, placeOf } from './mounts.ts';
import { revisionsOf } from './plan-revisions.ts';
import type { Finding } from './refusal.ts';
import { readTransfer } from './script-transfers.ts';
import { isServiceGroup } from './service-group-id.ts';
import { checkSharedMemory } from './shared-memory.ts';

/** Where a container of a plan is written, and what all kinds of them have. */
interface Part {
  readonly path: string;
  readonly part: Pick<
    JobStep,
    'id' | 'image' | 'command' | 'entrypoint' | 'env' | 'work_dir' | 'mounts' | 'resources'
  > &
    Partial<Pick<JobStep, 'expose' | 'aliases'>>;
}

/** `task.invalid`, `mount.refused`, `policy.refused`; paths in the plan. */
export function findingsOfPlan(plan: JobPlan): readonly Finding[] {
  const parts = partsOf(plan);
  return [
    {
      failure: 'task.invalid',
      errors: [
        ...[...checkNames(plan, parts), ...checkOrder(plan), ...checkSize(plan, parts)],
        ...parts.flatMap(checkProgram),
        ...checkPreflight(plan, parts),
        ...plan.services.flatMap(checkService),
        ...checkShared(plan),
        ...checkCaches(plan, parts),
        ...plan.inputs.flatMap(checkInput),
        ...plan.outputs.flatMap(checkOutput),
        ...checkEgress(plan, parts),
        ...checkScripts(plan),
        ...checkManifest(plan),
      ],
    },
    { failure: 'mount.refused', errors: parts.flatMap(checkMounts) },
    {
      failure: 'policy.refused',
      errors: [
        ...parts.flatMap(({ path, part }) => checkEnvironment(namesOnly(part.env.values), `${path}/env/values`)),
        ...plan.steps.flatMap(({ script = [] }, index) =>
          script.flatMap(({ run }, at) => checkEnvironment(run?.env ?? {}, `/steps/${index}/script/${at}/run/env`)),
        ),
      ],
    },
  ];
}

/** The same of what may be no plan at all. */
export function errorsOfPlan(plan: unknown): readonly PathError[] {
  const judged = judge(JobPlan, plan);
  return judged.ok ? findingsOfPlan(judged.value).flatMap(({ errors }) => errors) : judged.errors;
}

/** Every container of the plan. */
function partsOf({ services, checks, init, steps }: JobPlan): Part[] {
  return Object.entries({ services, checks, init, steps }).flatMap(([list, parts]) =>
    parts.map((part, index) => ({ path: `/${list}/${index}`, part })),
  );
}

function checkMounts({ path, part }: Part): PathError[] {
  const targets = part.mounts.map((mount) => mount.path);
  return checkTargets(targets, (index) => `${path}/mounts/${index}/path`, { ofJob: true });
}

/** Where it is known by now. */
function checkProgram({ path, part: { entrypoint, work_dir: workDir, resources } }: Part): PathError[] {
  const folder = typeof workDir === 'string' && workDir !== '' ? describeBadWorkDir(workDir) : undefined;
  return [
    ...(entrypoint?.items[0] === ''
      ? [{ path: `${path}/entrypoint/items/0`, code: 'empty', message: 'must name a program' }]
      : []),
    ...(folder === undefined ? [] : [{ path: `${path}/work_dir`, code: 'folder', message: folder }]),
    ...checkSharedMemory(resources).map((error) => ({ ...error, path: path + error.path })),
  ];
}

/** Of images alone: what is in a volume is not seen before a container runs. */
function checkPreflight({ preflight = [], images }: JobPlan, parts: readonly Part[]): PathError[] {
  return preflight.flatMap(({ type, name, image, work_dir: workDir }, index): PathError[] => {
    const path = `/preflight/${index}`;
    const folder = describeBadWorkDir(workDir);
    const place = placeOf(workDir, name);
    const isPath = type === 'file' || name.includes('/');
    const mounts = parts.flatMap(({ part }) => (part.image === image && isPath ? part.mounts : []));
    const isInVolume = mounts.some((mount) => isWithin(place, mount.path));
    return [
      ...(images.some(({ id }) => id === image) ? [] : [unknown(`${path}/image`, 'image')]),
      ...(folder === undefined ? [] : [{ path: `${path}/work_dir`, code: 'folder', message: folder }]),
      ...(isInVolume
        ? [{ path: `${path}/name`, code: 'in_volume', message: 'is in a volume: only a command can look there' }]
        : []),
    ];
  });
}

/** All are of one revision, which is what their containers are labelled with; whoever has one may write to it. */
function checkCaches({ caches = [] }: JobPlan, parts: readonly Part[]): PathError[] {
  const names = new Set(caches.map(({ name }) => name));
  return [
    ...caches.flatMap(({ revision_sha256: revision }, index) =>
      revision === caches[0]?.revision_sha256
        ? []
        : [{ path: `/caches/${index}/revision_sha256`, code: 'revision', message: 'must be that of the first cache' }],
    ),
    ...parts.flatMap(({ path, part }) =>
      part.mounts.flatMap(({ volume, read_only: readOnly }, index) =>
        readOnly && names.has(volume)
          ? [{ path: `${path}/mounts/${index}/read_only`, code: 'cache', message: 'must be false for a cache' }]
          : [],
      ),
    ),
  ];
}

function checkService({ healthcheck }: JobPlan['services'][number], index: number): PathError[] {
  const path = `/services/${index}`;
  return [
    ...(healthcheck?.command[0] === ''
      ? [{ path: `${path}/healthcheck/command/0`, code: 'empty', message: 'must name a program' }]
      : []),
  ];
}

/** What outlives a job and is in a network with others has less than its own services. */
function checkShared(plan: JobPlan): PathError[] {
  const { identity, images, services, steps, network, inputs, outputs } = plan;
  const id = '/identity/job_id';
  const taken = isServiceGroup(identity.job_id) ? [{ path: id, code: 'name', message: 'is that of a group' }] : [];
  const ofJob = new Set([...inputs, ...outputs].map(({ volume }) => volume));
  // In a network with other jobs a part has no names of its own.
  const isNamed = steps.length > 1 || steps.some(({ aliases }) => aliases.length > 0);
  const rules = [
    [revisionsOf(plan).size !== 1, 'must be job for a plan that is not of one revision'],
    [network !== 'bridge', 'must be job for a plan whose network has no way out of its own'],
    // A build has the network of its job, and this one is in that of the group.
    [
      images.some(({ source }) => source.kind === 'build' && source.network !== 'none'),
      'must be job for a plan that builds on a network',
    ],
    [isNamed, 'must be job for a plan of several steps, or of one with aliases'],
  ] as const;
  return [
    ...taken,
    ...services.flatMap(({ scope, mounts, expose, resources }, index) =>
      scope === 'project'
        ? [
            ...rules.map(([isWrong, message]) => ({ isWrong, at: 'scope', message })),
            { isWrong: expose.length > 0, at: 'expose', message: 'must be empty for scope project' },
            { isWrong: resources.gpu_count > 0, at: 'resources/gpu_count', message: 'must be 0 for scope project' },
            ...mounts.map(({ volume }, mount) => ({
              isWrong: ofJob.has(volume),
              at: `mounts/${mount}/volume`,
              message: 'is of the job: one of scope project has volumes of its own, and caches',
            })),
          ].flatMap(({ isWrong, at, message }) =>
            isWrong ? [{ path: `/services/${index}/${at}`, code: 'unsupported', message }] : [],
          )
        : [],
    ),
  ];
}

function checkInput({ source }: JobPlan['inputs'][number], index: number): PathError[] {
  const isLarge = source.kind === 'inline' && Buffer.byteLength(source.text) > maxInlineBytes;
  const message = `must not be larger than ${maxInlineBytes} bytes`;
  if (isLarge) return [{ path: `/inputs/${index}/source/text`, code: 'maxLength', message }];
  if (source.kind !== 'output' || isBelow(source)) return [];
  return [{ path: `/inputs/${index}/source/path`, code: 'path', message: 'must stay within the volume' }];
}

function checkOutput({ path }: JobPlan['outputs'][number], index: number): PathError[] {
  return depthOf(path) >= 0
    ? []
    : [{ path: `/outputs/${index}/path`, code: 'path', message: 'must stay within the volume' }];
}

/** A folder may be all that a volume has. */
function isBelow({ path, media_type }: { readonly path: string; readonly media_type: string }): boolean {
  return depthOf(path) >= (media_type === 'application/x-tar' ? 0 : 1);
}

/** How far below a volume; less than 0 where it leads out of it, on the way as well. */
function depthOf(path: string): number {
  let depth = 0;
  for (const segment of path.split('/')) {
    if (segment !== '' && segment !== '.') depth += segment === '..' ? -1 : 1;
    if (depth < 0) return depth;
  }
  return depth;
}

/** Values may be known only later; those are judged with the container. */
function namesOnly(values: Readonly<Record<string, TextValue>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, typeof value === 'string' ? value : '']),
  );
}

function checkNames(plan: JobPlan, parts: readonly Part[]): PathError[] {
  const ids = (list: 'images' | 'inputs') =>
    plan[list].map(({ id }, index) => ({ path: `/${list}/${index}/id`, name: id }));
  const names = (list: 'volumes' | 'caches' | 'outputs') =>
    (plan[list] ?? []).map(({ name }, index) => ({ path: `/${list}/${index}/name`, name }));
  const has = {
    image: new Set(plan.images.map(({ id }) => id)),
    volume: new Set(plan.volumes.map(({ name }) => name)),
    cache: new Set(plan.caches?.map(({ name }) => name)),
    input: new Set(plan.inputs.map(({ id }) => id)),
    step: new Map(plan.steps.map((step) => [step.id, step])),
    service: new Set(plan.services.map(({ id }) => id)),
  };
  const missing = (isThere: boolean, path: string, what: string): PathError[] => (isThere ? [] : [unknown(path, what)]);
  return [
    ...[ids('images'), ids('inputs'), [...names('volumes'), ...names('caches')], names('outputs')].flatMap(repeated),
    ...repeated(parts.map(({ path, part }) => ({ path: `${path}/id`, name: part.id }))),
    ...parts.flatMap(({ path, part }) => [
      ...missing(has.image.has(part.image), `${path}/image`, 'image'),
      ...part.mounts.flatMap(({ volume }, index) =>
        missing(has.volume.has(volume) || has.cache.has(volume), `${path}/mounts/${index}/volume`, 'volume or cache'),
      ),
      ...repeated(
        (part.expose ?? []).flatMap((expose, index) =>
          expose.kind === 'port' ? [{ path: `${path}/expose/${index}/port`, name: String(expose.port) }] : [],
        ),
      ),
      ...referencesOf(part).flatMap(({ at, reference }) => checkReference(reference, `${path}${at}`, has)),
    ]),
    ...plan.inputs.flatMap(({ volume }, index) => missing(has.volume.has(volume), `/inputs/${index}/volume`, 'volume')),
    ...plan.outputs.flatMap(({ volume }, index) =>
      missing(has.volume.has(volume), `/outputs/${index}/volume`, 'volume'),
    ),
    ...plan.steps.flatMap((step, index) =>
      step.needs.flatMap((input, at) => missing(has.input.has(input), `/steps/${index}/needs/${at}`, 'input')),
    ),
  ];
}

function unknown(path: string, what: string): PathError {
  return { path, code: 'unknown', message: `names no ${what} of the plan` };
}

function repeated(named: readonly { readonly path: string; readonly name: string }[]): PathError[] {
  return named
    .filter(({ name }, index) => named.findIndex((other) => other.name === name) < index)
    .map(({ path }) => ({ path, code: 'repeated', message: 'is there more than once' }));
}

interface Named {
  readonly step: ReadonlyMap<string, JobStep>;
  readonly service: ReadonlySet<string>;
}

function checkReference(reference: Reference, path: string, has: Named): PathError[] {
  if (reference.ref === 'job') return [];
  if (reference.ref === 'service_state') return has.service.has(reference.service) ? [] : [unknown(path, 'service')];
  const step = has.step.get(reference.step);
  if (!step) return [{ path, code: 'unknown', message: 'refers to no step of the plan' }];
  return reference.ref === 'step_result' && !step.results.some(({ name }) => name === reference.name)
    ? [{ path, code: 'unknown', message: `refers to no result of the step ${reference.step}` }]
    : [];
}

/** References of a container, with the field that each is in. */
function referencesOf({ command, entrypoint, env, work_dir, expose = [] }: Part['part']) {
  const inText = (value: TextValue): Reference[] =>
    typeof value === 'string' ? [] : value.join.filter((piece) => typeof piece !== 'string');
  const inItem = (item: ListValue['items'][number]): Reference[] =>
    typeof item === 'string' || 'join' in item ? inText(item) : ['spread' in item ? item.spread : item];
  const at = (path: string, references: readonly Reference[]) =>
    references.map((reference) => ({ at: path, reference }));
  const inList = (name: string, list: ListValue | undefined) =>
    (list?.items ?? []).flatMap((item, index) => at(`/${name}/items/${index}`, inItem(item)));
  return [
    ...inList('command', command),
    ...inList('entrypoint', entrypoint),
    ...Object.entries(env.values).flatMap(([name, value]) => at(`/env/values/${pointerToken(name)}`, inText(value))),
    ...env.merge.flatMap(({ from }, index) => at(`/env/merge/${index}/from`, inText(from))),
    ...at('/work_dir', work_dir === undefined ? [] : inText(work_dir)),
    ...expose.flatMap((port, index) => (port.kind === 'later' ? at(`/expose/${index}/from`, [port.from]) : [])),
  ];
}

/** Dependencies stay within a group and make no circle; expressions can be read. */
function checkOrder({ steps }: JobPlan): PathError[] {
  const byId = new Map(steps.map((step) => [step.id, step]));
  return steps.flatMap((step, index) => {
    const named = (list: 'depends_on' | 'stops_with') =>
      step[list].flatMap((id, at): PathError[] => {
        const path = `/steps/${index}/${list}/${at}`;
        if (id === step.id) return [{ path, code: 'itself', message: 'names the step itself' }];
        return byId.get(id)?.group === step.group
          ? []
          : [{ path, code: 'unknown', message: `names no step of the group ${step.group}` }];
      });
    const circle = waitsForItself(step.id, byId)
      ? [{ path: `/steps/${index}/depends_on`, code: 'circle', message: 'makes the step wait for itself' }]
      : [];
    const unreadable = step.results.flatMap(({ regex }, at) => {
      const reason = whyUnreadable(regex);
      return reason === undefined
        ? []
        : [{ path: `/steps/${index}/results/${at}/regex`, code: 'regex', message: `cannot be read: ${reason}` }];
    });
    return [...named('depends_on'), ...named('stops_with'), ...circle, ...unreadable];
  });
}

function waitsForItself(id: string, steps: ReadonlyMap<string, JobStep>): boolean {
  const seen = new Set<string>();
  const open = [...(steps.get(id)?.depends_on ?? [])];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next === id) return seen.size > 0;
    if (!seen.has(next)) open.push(...(steps.get(next)?.depends_on ?? []));
    seen.add(next);
  }
  return false;
}

function whyUnreadable(regex: string): string | undefined {
  if (regexSize(regex) > maxRegexSize) return 'it repeats too much that is too long';
  try {
    RE2JS.compile(regex);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function checkEgress({ network, egress, images }: JobPlan, parts: readonly Part[]): PathError[] {
  if ((network === 'allow_list') !== (egress !== undefined)) {
    const message = egress ? 'is only for the network allow_list' : 'must say what the network allow_list lets through';
    return [{ path: '/egress', code: 'network', message }];
  }
  if (!egress) return [];
  return [
    ...images.flatMap(({ source }, index) =>
      source.kind === 'build' && source.network !== 'none'
        ? [{ path: `/images/${index}/source/network`, code: 'network', message: 'must be none beside allow_list' }]
        : [],
    ),
    ...parts.flatMap(({ path, part }) =>
      [part.id, ...(part.aliases ?? [])].includes(egressName)
        ? [{ path: `${path}/id`, code: 'name', message: `must not be ${egressName}, which is the proxy of the job` }]
        : [],
    ),
  ];
}

/** What is carried out under a manifest is held against it, so it has to be there. */
function checkManifest({ identity, signed_manifest: manifest, command_policy: mode }: JobPlan): PathError[] {
  const message = 'is missing: a plan of this dialect keeps what its manifest promises';
  return [
    ...(identity.dialect === 'golem' && !manifest ? [{ path: '/signed_manifest', code: 'required', message }] : []),
    ...(mode !== undefined && !manifest
      ? [{ path: '/command_policy', code: 'contradiction', message: 'is only for a plan with a manifest' }]
      : []),
  ];
}

/** One step alone, whose container does nothing of its own; getting ready comes first, and the end last. */
function checkScripts(plan: JobPlan): PathError[] {
  const { steps, services } = plan;
  return steps.flatMap((step, index) => {
    const { script, command, entrypoint, expose, restart, depends_on, stops_with, results } = step;
    if (!script) return [];
    const path = `/steps/${index}`;
    const isAlone = steps.length === 1 && services.length === 0;
    const others = { command, entrypoint, expose, depends_on, stops_with, results };
    return [
      ...(isAlone ? [] : [{ path: `${path}/script`, code: 'alone', message: 'must be of the only step of the plan' }]),
      ...Object.entries(others).flatMap(([key, value]) =>
        value === undefined || (Array.isArray(value) && value.length === 0)
          ? []
          : [{ path: `${path}/${key}`, code: 'script', message: 'must be left out of a step with a script' }],
      ),
      ...(restart.policy === 'no'
        ? []
        : [{ path: `${path}/restart/policy`, code: 'script', message: 'must be no for a step with a script' }]),
      ...errorsOfOrder(script, `${path}/script`),
      ...script.flatMap(({ transfer }, at) => {
        const read = transfer && readTransfer(transfer, step, plan);
        return read?.ok === false
          ? read.errors.map((error) => ({ ...error, path: `${path}/script/${at}/transfer${error.path}` }))
          : [];
      }),
    ];
  });
}

/** `deploy` and `start` at most once and before what needs them, `terminate` at the end; paths below `path`. */
export function errorsOfOrder(script: readonly ExeCommand[], path = ''): PathError[] {
  const words = script.map((command) => Object.keys(command)[0] ?? '');
  const wrong = (index: number, message: string) => ({ path: `${path}/${index}`, code: 'order', message });
  return words.flatMap((word, index) => {
    if (word === 'deploy' && index > 0) return [wrong(index, 'deploy must be the first command')];
    if (word === 'terminate' && index < words.length - 1) return [wrong(index, 'terminate must be the last command')];
    if (word !== 'start') return [];
    const before = words.slice(0, index);
    return before.includes('start') || before.includes('run')
      ? [wrong(index, 'start must come once, before the first run')]
      : [];
  });
}

/** Its network has so many addresses; a container has its share of what the job gets. */
function checkSize({ services, steps, resources, network }: JobPlan, parts: readonly Part[]): PathError[] {
  const groups = Map.groupBy(steps, ({ group }) => group);
  // The proxy of the job has one of the addresses.
  const most = network === 'allow_list' ? maxTogether - 1 : maxTogether;
  const crowded = [...groups].filter(([, its]) => its.length + services.length > most);
  const kinds = ['gpu_count', 'cpu_cores', 'memory_gib'] as const;
  return [
    ...crowded.map(([group]) => ({
      path: '/steps',
      code: 'too_many',
      message: `has more than ${most} containers at once in the group ${group}, services included`,
    })),
    ...parts.flatMap(({ path, part }) =>
      kinds
        .filter((kind) => part.resources[kind] > resources[kind])
        .map((kind) => ({ path: `${path}/resources/${kind}`, code: 'maximum', message: 'is more than the job gets' })),
    ),
    ...(network === 'bridge' ? [] : parts)
      .filter(({ part }) => (part.expose ?? []).length > 0)
      .map(({ path }) => ({
        path: `${path}/expose`,
        code: 'no_network',
        message: network === 'none' ? 'needs a network, and the job has none' : 'needs a network of the kind bridge',
      })),
  ];
}
