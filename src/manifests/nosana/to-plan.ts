/**
 * A job definition as a plan: what its ops are to be carried out, with the meaning that research and documents give them
 * (docs/dialects/nosana.md has the table). Pure: images keep their tags and are listed, secrets are handed out apart.
 */
import type { JobInput } from '../../contract/job-inputs.ts';
import type { JobPlan, JobStep, PullingPlan } from '../../contract/job-plan.ts';
import type { ListValue } from '../../contract/job-values.ts';
import type { JobSecret, PlannedJob, PlanWish } from '../planned-job.ts';
import { cardMemoryMib } from './card-memory.ts';
import { aliasesOf } from './check-definition.ts';
import type { JobDefinition, RunArgs, RunOp } from './definition.ts';
import type { HealthCheck } from './expose.ts';
import { inputsOf } from './inputs-of.ts';
import { groupNameOf, orderOf } from './op-order.ts';
import { mountPath } from './paths.ts';
import { PlanImages } from './plan-images.ts';
import { exposedBy } from './ports.ts';
import { stepIds } from './step-ids.ts';
import { envOf, listOf, type Names, textOf } from './values.ts';
import { VolumeNames } from './volume-names.ts';

/** All images of it come from registries. */
interface PlannedDefinition extends Omit<PlannedJob, 'plan'> {
  readonly plan: PullingPlan;
}

const manyTries = 100;
const logLimits = { max_size_mib: 64, max_files: 2 };

/** Only for a definition that `readDefinition` has accepted. */
export function planOf(definition: JobDefinition, wish: PlanWish): PlannedDefinition {
  const runs = definition.ops.flatMap((op, index) => (op.type === 'container/run' ? [{ op, index }] : []));
  const ids = stepIds(runs.map(({ op }) => op.id));
  const names: Names = {
    ops: definition.ops.map(({ id }) => id),
    stepOf: (id) => ids.get(id) ?? id,
    steps: new Set(ids.values()),
    variables: definition.global?.variables ?? {},
  };
  const images = new PlanImages(wish.pins);
  const volumes = new VolumeNames();
  for (const { type, args } of definition.ops) {
    if (type === 'container/create-volume') volumes.named((args as { name: string }).name);
  }
  const share = shareOf(definition, wish);
  const inputs: JobInput[] = [];
  const outputs: JobPlan['outputs'] = [];
  const secrets: JobSecret[] = [];
  const steps = runs.map(({ op, index }): JobStep => {
    const id = names.stepOf(op.id);
    const written = textOf(op.args.image || definition.global?.image || '', names);
    const path = op.args.image ? `/ops/${index}/args/image` : '/global/image';
    const image = images.add(String(written), op.args.authentication, path);
    const data = inputsOf(op, { id, names, volumes });
    inputs.push(...data.inputs);
    secrets.push(...data.secrets);
    const mounts = [
      ...(op.args.volumes ?? []).map(({ name, dest }) => ({
        volume: volumes.named(name),
        path: mountPath(dest),
        read_only: false,
      })),
      ...data.mounts,
    ];
    if (op.args.output !== undefined) {
      const folder = mountPath(op.args.output);
      // A volume of the author may be there already: then what is kept is in that one.
      const known = mounts.find((mount) => mount.path === folder);
      const volume = known?.volume ?? volumes.own(`output-${id}`);
      if (!known) mounts.push({ volume, path: folder, read_only: false });
      outputs.push({ name: id, volume, path: '.', type: 'artifact', required: false });
    }
    return {
      ...stepOf(op, definition, names),
      ...{ id, image, mounts, needs: data.inputs.map((input) => input.id), resources: share(op) },
    };
  });
  const resources = totalOf(definition, wish);
  const cardMemory = cardMemoryMib(definition);
  const plan: PullingPlan = {
    ...{ identity: wish.identity, sandbox: wish.sandbox, resources },
    ...(resources.gpu_count > 0 && cardMemory > 0 && { gpu_memory_mib: cardMemory }),
    ...{ images: images.images, volumes: volumes.all().map((name) => ({ name })) },
    ...{ inputs, services: [], checks: [], init: [], steps, outputs, read_only_root: false, network: 'bridge' },
    ...{ on_failure: wish.on_failure, deadline_seconds: wish.deadline_seconds, stop_grace_seconds: 10 },
    ...{ keep: wish.keep, log_limits: logLimits },
  };
  const { unresolved, paths: imagePaths } = images;
  return { plan, unresolved, secrets: [...images.secrets, ...secrets], imagePaths };
}

/** What depends on the op alone and on what holds for all. */
function stepOf(
  op: RunOp,
  definition: JobDefinition,
  names: Names,
): Omit<JobStep, 'id' | 'image' | 'mounts' | 'needs' | 'resources'> {
  const { global = {} } = definition;
  const { args, execution = {} } = op;
  const entrypoint = args.entrypoint ?? global.entrypoint;
  const workDir = args.work_dir ?? global.work_dir;
  const order = orderOf(definition);
  const command = args.cmd === undefined ? undefined : commandOf(args.cmd, names);
  const { env } = { env: envOf([global.env ?? {}, args.env ?? {}], names) };
  return {
    group: groupNameOf(op),
    ...(entrypoint !== undefined && {
      entrypoint: listOf(typeof entrypoint === 'string' ? [entrypoint] : entrypoint, names),
    }),
    ...(command && { command }),
    env: { ...env, values: { ...env.values, NOSANA_ID: { join: [{ ref: 'job', name: 'id' }] } } },
    ...(workDir !== undefined && { work_dir: textOf(workDir, names) }),
    aliases: [...new Set([op.id, ...aliasesOf(args.aliases ?? [])])].filter(
      (name) => isHostName(name) && !names.steps.has(name.toLowerCase()),
    ),
    depends_on: order.waitsFor(op.id).map(names.stepOf),
    stops_with: execution.stop_if_dependent_stops ? (execution.depends_on ?? []).map(names.stepOf) : [],
    expose: exposeOf(args, names),
    ...(execution.timeout !== undefined && { timeout_seconds: execution.timeout }),
    restart: restartOf(args.restart_policy),
    results: Object.entries(op.results ?? {}).map(([name, result]) => ({
      name,
      regex: typeof result === 'string' ? result : result.regex,
      channels: typeof result === 'string' ? ['stdout', 'stderr'] : result.logType.filter(isChannel),
    })),
  };
}

const isChannel = (type: string): type is 'stdout' | 'stderr' => type === 'stdout' || type === 'stderr';
const isHostName = (name: string) => /^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?$/.test(name);

/** A whole command line goes to a shell: bash where the image has it. None, or an empty one, is left to the image. */
function commandOf(cmd: NonNullable<RunArgs['cmd']>, names: Names): ListValue | undefined {
  if (typeof cmd === 'string') {
    return { items: ['/bin/sh', '-c', textOf(cmd, names)], omit_if_empty: false };
  }
  const [only] = cmd;
  if (cmd.length === 1 && only !== undefined && /\s/.test(only)) {
    return { items: ['/bin/sh', '-c', bashOrSh, 'sh', textOf(only, names)], omit_if_empty: false };
  }
  return cmd.length === 0 ? undefined : listOf(cmd, names);
}
const bashOrSh = 'if command -v bash >/dev/null; then exec bash -c "$1"; else exec sh -c "$1"; fi';

function exposeOf(args: RunArgs, names: Names): JobStep['expose'] {
  const { ranges, later } = exposedBy(args);
  const known = ranges.flatMap(({ first, last, described: { type, health_checks: checks = [] } }) =>
    Array.from({ length: last - first + 1 }, (_, index) => ({
      kind: 'port' as const,
      port: first + index,
      protocol: type === 'none' ? ('tcp' as const) : ('http' as const),
      checks: checks.map(checkOf),
    })),
  );
  const unknown = later.map(({ literal, chunked }) => {
    const value = listOf([literal], names).items[0];
    if (typeof value !== 'object' || !('ref' in value)) throw new Error(`unchecked literal ${literal}`);
    return { kind: 'later' as const, from: value, chunked };
  });
  return [...known, ...unknown];
}

function checkOf(check: HealthCheck) {
  const continuous = check.continuous ?? false;
  if (check.type === 'websocket') return { ...check, continuous };
  const { path, method, expected_status, headers = {}, body, restart_on_failure = false, max_restarts = 3 } = check;
  return {
    ...{ type: 'http' as const, path, method, expected_status, headers: { ...headers }, continuous },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    ...{ restart_on_failure, max_restarts },
  };
}

function restartOf(policy: RunArgs['restart_policy']): JobStep['restart'] {
  if (policy === undefined || policy === 'no') return { policy: 'no', max_retries: 0 };
  if (policy === 'always' || policy === 'unless-stopped') return { policy: 'always', max_retries: manyTries };
  return {
    policy: 'on_failure',
    max_retries: typeof policy === 'string' ? manyTries : (policy.restart_tries ?? manyTries),
  };
}

function wantsCard({ args }: RunOp, { global }: JobDefinition): boolean {
  return args.gpu ?? global?.gpu ?? args.required_vram !== undefined;
}

/** Containers of one group run side by side and share what there is. */
function shareOf(definition: JobDefinition, { resources }: PlanWish): (op: RunOp) => JobStep['resources'] {
  const together = new Map<string, number>();
  for (const op of definition.ops) {
    if (op.type === 'container/run') together.set(groupNameOf(op), (together.get(groupNameOf(op)) ?? 0) + 1);
  }
  return (op) => {
    const count = together.get(groupNameOf(op)) ?? 1;
    return {
      ...resources,
      gpu_count: wantsCard(op, definition) ? Math.max(1, resources.gpu_count) : 0,
      cpu_cores: Math.max(0.1, Math.floor((resources.cpu_cores / count) * 100) / 100),
      memory_gib: Math.max(0.0625, Math.floor((resources.memory_gib / count) * 16) / 16),
    };
  };
}

function totalOf(definition: JobDefinition, { resources }: PlanWish): JobPlan['resources'] {
  const cards = new Map<string, number>();
  for (const op of definition.ops) {
    if (op.type !== 'container/run' || !wantsCard(op, definition)) continue;
    cards.set(groupNameOf(op), (cards.get(groupNameOf(op)) ?? 0) + Math.max(1, resources.gpu_count));
  }
  return { ...resources, gpu_count: Math.max(0, ...cards.values()) };
}
