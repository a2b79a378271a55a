/**
 * The first safety function for containers of jobs: from a part of a plan, with every value known by now, to the engine's
 * create request.
 *
 * Pure, and as strict as that of a workload (see `render-container.ts`): everything that is wrong is reported at once, with the
 * path of the field in the part.
 */
import { AgentError } from '../contract/failures.ts';
import type { JobPlan } from '../contract/job-plan.ts';
import { containerName, jobKind, labels, networkName, volumeName } from '../contract/names.ts';
import type { PathError } from '../contract/validate.ts';
import type { Port, Resources, RestartPolicy } from '../contract/workload-oci-launch.ts';
import { cachesLabel, cacheVolume } from './caches.ts';
import type { ImageFacts } from './container-request.ts';
import { jobContainerSpec } from './container-spec.ts';
import { checkPorts, endpointsLabel } from './endpoints.ts';
import { checkEnvironment, describeBadImageEnv, neutralised } from './environment.ts';
import { cardRequest, cardsLabel, engineNames, type GivenCards } from './given-cards.ts';
import { type HostPolicy, jobInputsRoot } from './host-policy.ts';
import { assertAllowedImage, isRepoDigestOf, readAllowedImage } from './image-reference.ts';
import { type JobContainerRequest, jobCapDrop, nowhere } from './job-request.ts';
import { checkTargets, describeBadJobFolder, describeBadVolumes, describeBadWorkDir } from './mounts.ts';
import { refuse } from './refusal.ts';
import { checkAllocation, judgeSandbox } from './render-container.ts';
import { portKey, renderBounds } from './render-request.ts';
import type { ServiceGroup } from './service-group.ts';
import { checkSharedMemory } from './shared-memory.ts';

/** A volume of the job in a container. */
export interface JobPartMount {
  readonly volume: string;
  readonly path: string;
  readonly read_only: boolean;
  /** `volume`: an engine volume. `cache`: one that is kept for the next job. `inputs`: what was fetched into that volume, as it lies on the host; never to be written. */
  readonly from: 'volume' | 'cache' | 'inputs';
}

/** A step, a service, a check or an init of a plan, as it is to run now. */
export interface JobPart {
  readonly id: string;
  /** Empty or absent: the image's own. The same for `command`. */
  readonly entrypoint?: readonly string[] | undefined;
  readonly command?: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  /** Absolute; absent: the image's own. */
  readonly work_dir?: string | undefined;
  readonly mounts: readonly JobPartMount[];
  readonly resources: Resources;
  /** Names beside its id by which the others of the job reach it. */
  readonly aliases: readonly string[];
  readonly ports: readonly Port[];
  readonly restart: RestartPolicy;
}

export interface JobContainerInput
  extends Pick<JobPlan, 'identity' | 'sandbox' | 'network' | 'read_only_root' | 'log_limits' | 'caches'> {
  readonly part: JobPart;
  readonly policy: HostPolicy;
  /** As the plan names it, by digest; the id of an image that this host has built for the project. */
  readonly reference: string;
  /** What the engine holds under that name. */
  readonly image: ImageFacts;
  /** As many as the part asks for. */
  readonly cards: GivenCards;
  readonly taskId: string;
  readonly fencing: number;
  /** The services that it shares, or is one of: it is in their network. */
  readonly group?: ServiceGroup | undefined;
  /** Services of its job alone, which it finds there by their names. */
  readonly peers?: readonly string[];
}

export interface RenderedJobContainer {
  readonly name: string;
  readonly request: JobContainerRequest;
  /** sha256 of all that decides the container, also in its label. */
  readonly spec: string;
}

/**
 * Throws with every refused path in `detail.errors`: `task.untrusted` (and nothing else) for another allocation, else the first
 * that applies of `policy.refused`, `mount.refused`, `image.not_pinned`, `image.registry_denied`, `task.invalid`,
 * `sandbox.unavailable`, `sandbox.no_cards`; `image.digest_mismatch` if the engine holds another image than the plan names.
 */
export function renderJobContainer(input: JobContainerInput): RenderedJobContainer {
  const { part, policy, image, identity } = input;
  refuse([{ failure: 'task.untrusted', errors: checkAllocation(input, policy) }]);
  const isBuilt = input.reference === image.id && (image.builtFor ?? []).includes(identity.project_id);
  const read = isBuilt ? ({ ok: true } as const) : readAllowedImage(input.reference, policy.registries);
  refuse([
    { failure: 'policy.refused', errors: [...checkEnvironment(part.env, '/env'), ...checkImage(input)] },
    {
      failure: 'mount.refused',
      errors: checkTargets(
        part.mounts.map(({ path }) => path),
        mountPath,
        { ofJob: true },
      ),
    },
    ...(read.ok ? [] : [{ failure: read.code, errors: at('/image', read.code, `is refused: ${read.reason}`) }]),
    { failure: 'task.invalid', errors: checkPart(input) },
    ...judgeSandbox({ ...input, resources: part.resources }, policy),
  ]);
  if (!isBuilt) assertHeld(input.reference, image, policy);
  if (input.cards.uuids.length !== part.resources.gpu_count) {
    throw new AgentError('internal', { reason: 'A container was given another number of cards than it asks for.' });
  }
  const rendered = renderRequest(input);
  const spec = jobContainerSpec(rendered);
  const request = { ...rendered, Labels: { ...rendered.Labels, [labels.spec]: spec } };
  return { name: containerName(identity.job_id, part.id), request, spec };
}

function assertHeld(reference: string, image: ImageFacts, policy: HostPolicy): void {
  const wanted = assertAllowedImage(reference, policy.registries);
  if (image.repoDigests.some((digest) => isRepoDigestOf(digest, wanted))) return;
  throw new AgentError('image.digest_mismatch', { expected: reference, actual: image.repoDigests });
}

function renderRequest(input: JobContainerInput): JobContainerRequest {
  const { part, policy, image, cards, reference, network, identity, group, read_only_root: readOnlyRoot } = input;
  const { command = [], entrypoint = [], ports, work_dir: workDir } = part;
  return {
    Image: reference,
    User: '',
    Env: [...renderEnv(part), ...neutralised(image.env, { engineNames: engineNames(cards) })],
    ...(command.length > 0 && { Cmd: [...command] }),
    ...(entrypoint.length > 0 && { Entrypoint: [...entrypoint] }),
    ...(workDir !== undefined && { WorkingDir: workDir }),
    Labels: renderLabels(input),
    ExposedPorts: Object.fromEntries(ports.map((port) => [portKey(port), {}])),
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      ...renderBounds({ ...input, ...part, ports: [...ports] }, policy),
      ...cardRequest(cards),
      Mounts: part.mounts.map((mount) => renderMount(mount, input)),
      NetworkMode: network === 'none' ? 'none' : networkName(group?.id ?? identity.job_id),
      CapDrop: [...jobCapDrop],
      ...(readOnlyRoot && { ReadonlyRootfs: true }),
      ...(network === 'allow_list' && { Dns: [nowhere] }),
    },
  };
}

function renderEnv({ env }: JobPart): string[] {
  return Object.entries(env)
    .map(([name, value]) => `${name}=${value}`)
    .sort();
}

function renderLabels({
  identity,
  part,
  caches = [],
  cards,
  taskId,
  fencing,
  group,
  peers = [],
}: JobContainerInput): Record<string, string> {
  const its = caches.filter(({ name }) => part.mounts.some(({ volume, from }) => from === 'cache' && volume === name));
  return {
    [labels.kind]: jobKind,
    [labels.instance]: identity.job_id,
    [labels.project]: identity.project_id,
    [labels.allocation]: identity.allocation_id,
    [labels.task]: taskId,
    [labels.service]: part.id,
    ...(cards.uuids.length > 0 && { [labels.gpus]: cardsLabel(cards) }),
    ...(group && { [labels.revision]: group.revision, [labels.shared]: group.made_of }),
    ...(group && group.id !== identity.job_id && { [labels.peers]: peers.join(',') }),
    ...(its.length > 0 && { [labels.revision]: its[0]?.revision_sha256 ?? '', [labels.caches]: cachesLabel(its) }),
    [labels.fencing]: String(fencing),
    [labels.endpoints]: endpointsLabel(part.ports),
    [labels.restart]: `${part.restart.policy}:${part.restart.max_retries}`,
    [labels.aliases]: part.aliases.join(','),
  };
}

function renderMount(
  { volume, path, read_only: readOnly, from }: JobPartMount,
  { identity, policy, caches = [] }: JobContainerInput,
): JobContainerRequest['HostConfig']['Mounts'][number] {
  if (from === 'cache') {
    const revision = caches.find(({ name }) => name === volume)?.revision_sha256 ?? '';
    const owner = { allocation: identity.allocation_id, project: identity.project_id, revision };
    return { Type: 'volume', Source: cacheVolume(owner, volume), Target: path, ReadOnly: readOnly };
  }
  return from === 'volume'
    ? { Type: 'volume', Source: volumeName(identity.job_id, volume), Target: path, ReadOnly: readOnly }
    : {
        ...{
          Type: 'bind',
          Source: `${jobInputsRoot(policy, identity.job_id)}/${volume}`,
          Target: path,
          ReadOnly: true,
        },
        BindOptions: { Propagation: 'rprivate' },
      };
}

function checkImage({ part, image }: JobContainerInput): PathError[] {
  const folder = describeBadJobFolder(image.workingDir);
  const sentences = [
    ...describeBadImageEnv(image.env),
    ...describeBadVolumes(
      image.volumes,
      part.mounts.map(({ path }) => path),
    ),
    ...(folder === undefined ? [] : [`the image ${folder}`]),
  ];
  return sentences.flatMap((message) => at('/image', 'image_refused', message));
}

/** Fields that contradict each other, or what the engine would take for something else. */
function checkPart({ part, network }: JobContainerInput): PathError[] {
  const { work_dir: workDir, mounts, ports, aliases, resources } = part;
  const folder = workDir === undefined ? undefined : describeBadWorkDir(workDir);
  const aloneAt = ports.length > 0 ? '/ports' : '/aliases';
  const isAlone = ports.length === 0 && aliases.length === 0;
  return [
    ...checkPorts(ports),
    ...(part.entrypoint?.[0] === '' ? at('/entrypoint/0', 'empty', 'must name a program') : []),
    ...checkSharedMemory(resources),
    ...(folder === undefined ? [] : at('/work_dir', 'folder', folder)),
    ...mounts.flatMap(({ from, read_only: readOnly }, index) =>
      from === 'inputs' && !readOnly ? at(`/mounts/${index}/read_only`, 'inputs', 'must be true for inputs') : [],
    ),
    ...aliases.flatMap((alias, index) =>
      aliases.indexOf(alias) < index ? at(`/aliases/${index}`, 'repeated', 'is there already') : [],
    ),
    ...(network === 'none' && !isAlone ? at(aloneAt, 'network', 'must be empty for a job without a network') : []),
  ];
}

function mountPath(index: number): string {
  return `/mounts/${index}/path`;
}

function at(path: string, code: string, message: string): PathError[] {
  return [{ path, code, message }];
}
