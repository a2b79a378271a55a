/**
 * The first safety function: from the params of a launch to the engine's create request.
 *
 *   params ─▶ checkParams ─▶ pull ─▶ renderContainer ─▶ gate ─▶ checkContainerRequest ─▶ engine
 *
 * Pure: the same input gives the same request. The schema has said that each field is well-formed; here they are held
 * against each other, against what the operator allows and against the image. Everything that is wrong is reported at
 * once.
 */
import { AgentError } from '../contract/failures.ts';
import type { Identity } from '../contract/identifiers.ts';
import { containerName, labels } from '../contract/names.ts';
import type { PathError } from '../contract/validate.ts';
import type { LocalImage, Resources, Sandbox, WorkloadOciLaunchParams } from '../contract/workload-oci-launch.ts';
import type { ContainerRequest, ImageFacts } from './container-request.ts';
import { containerSpec } from './container-spec.ts';
import { checkBearers, checkPorts, checkReadiness } from './endpoints.ts';
import { checkEnvironment, describeBadImageEnv, neutralised } from './environment.ts';
import { noCards } from './given-cards.ts';
import { type HostPolicy, recordedImage } from './host-policy.ts';
import { assertAllowedImage, isRepoDigestOf, readAllowedImage } from './image-reference.ts';
import { checkMounts, checkStorage, describeBadVolumes, describeBadWorkingDir } from './mounts.ts';
import { judgePackages } from './python-packages.ts';
import { type Finding, refuse } from './refusal.ts';
import { bindTargets, type RenderInput, renderRequest } from './render-request.ts';
import { checkSharedMemory } from './shared-memory.ts';

export interface RenderedContainer {
  readonly name: string;
  readonly request: ContainerRequest;
  /** sha256 of all that decides the container, also in its label: see `specOf`. */
  readonly spec: string;
}

/**
 * Throws with every refused path in `detail.errors`: `task.untrusted` (and nothing else) for another allocation, else
 * the first that applies of `policy.refused`, `mount.refused`, `image.not_pinned`, `image.registry_denied`,
 * `packages.invalid`, `task.invalid` (fields that contradict each other), `sandbox.unavailable`,
 * `sandbox.no_cards`.
 */
export function checkParams(params: WorkloadOciLaunchParams, policy: HostPolicy): void {
  refuse([{ failure: 'task.untrusted', errors: checkAllocation(params, policy) }]);
  refuse([...judgeContainer(params, policy), ...judgeSandbox(params, policy)]);
}

/** What is wrong with the container itself; a service of a stack is one as well. */
export function judgeContainer(params: WorkloadOciLaunchParams, policy: HostPolicy): Finding[] {
  return [
    { failure: 'policy.refused', errors: checkVariables(params) },
    { failure: 'mount.refused', errors: [...checkMounts(params.mounts), ...checkStorage(params.mounts, policy)] },
    judgeImage(params, policy),
    { failure: 'packages.invalid', errors: judgePackages(params.python_packages) },
    { failure: 'task.invalid', errors: checkConsistency(params) },
  ];
}

/** Longest entry and most entries of an environment that the request's schema takes. */
const maxEntryLength = 65536;
const maxEntries = 1024;

/**
 * The spec of what would be rendered, whichever cards it gets and however they are given: how many is in the params. So a
 * launch knows the container it left behind before it asks for cards again. Throws what `checkParams` throws;
 * `image.digest_mismatch` if the engine holds another image than the task names; `policy.refused` for an image or an opened
 * value that this host cannot make safe.
 */
export function specOf(input: Omit<RenderInput, 'cards'>): string {
  return hashOf(input, verified(input));
}

function hashOf(input: Omit<RenderInput, 'cards'>, reference: string): string {
  return containerSpec(input.params, renderRequest({ ...input, cards: noCards }, reference));
}

/** Renders the request. Throws what `specOf` throws. */
export function renderContainer(input: RenderInput): RenderedContainer {
  const { params, cards } = input;
  if (cards.uuids.length !== params.resources.gpu_count) {
    throw new AgentError('internal', { reason: 'The leased cards are not as many as were asked for.' });
  }
  const reference = verified(input);
  const spec = hashOf(input, reference);
  const rendered = renderRequest(input, reference);
  const request = { ...rendered, Labels: { ...rendered.Labels, [labels.spec]: spec } };
  return { name: containerName(params.identity.app_instance_id, input.service), request, spec };
}

/** The verified name of the image, once everything is found in order. */
function verified(input: Omit<RenderInput, 'cards'>): string {
  const { params, policy, image } = input;
  checkParams(params, policy);
  const reference = verifyImage(params, policy, image);
  refuse([{ failure: 'policy.refused', errors: [...checkImage(input), ...checkEnv(input)] }]);
  return reference;
}

export function checkAllocation(
  { identity }: { readonly identity: Pick<Identity, 'allocation_id'> },
  { allocation }: HostPolicy,
): PathError[] {
  return identity.allocation_id === allocation.id
    ? []
    : [{ path: '/identity/allocation_id', code: 'other_allocation', message: 'is not the allocation of this host' }];
}

function checkVariables({ env, sealed_env = {} }: WorkloadOciLaunchParams): PathError[] {
  return [...checkEnvironment(env, '/env'), ...checkEnvironment(sealed_env, '/sealed_env')];
}

function judgeImage({ image }: WorkloadOciLaunchParams, policy: HostPolicy): Finding {
  if (image.kind === 'local') {
    return { failure: 'policy.refused', errors: checkLocalImage(image, policy) };
  }
  const read = readAllowedImage(image.reference, policy.registries);
  return read.ok
    ? { failure: 'image.not_pinned', errors: [] }
    : {
        failure: read.code,
        errors: [{ path: '/image/reference', code: read.code, message: `is refused: ${read.reason}` }],
      };
}

function checkLocalImage({ image_id, provenance }: LocalImage, policy: HostPolicy): PathError[] {
  const recorded = recordedImage(policy, image_id);
  if (recorded === undefined) {
    const message = 'is not among `local_images` of this host';
    return [{ path: '/image/image_id', code: 'local_image', message }];
  }
  return (['source', 'digest'] as const).flatMap((key) =>
    provenance[key] === recorded.provenance[key]
      ? []
      : [{ path: `/image/provenance/${key}`, code: 'provenance', message: 'is not what `local_images` says of it' }],
  );
}

function checkConsistency(params: WorkloadOciLaunchParams): PathError[] {
  return [
    ...checkPorts(params.ports),
    ...checkReadiness(params.readiness, params.ports),
    ...checkBearers(params.readiness, () => params.sealed_env),
    ...checkSealedTwice(params),
    ...checkProgram(params),
    ...checkSharedMemory(params.resources),
  ];
}

function checkSealedTwice({ env, sealed_env = {} }: WorkloadOciLaunchParams): PathError[] {
  return Object.keys(sealed_env)
    .filter((name) => Object.hasOwn(env, name))
    .map((name) => ({ path: `/sealed_env/${name}`, code: 'repeated', message: 'is in `env` as well' }));
}

/** The engine gives an empty command and an empty program meanings of their own. */
function checkProgram({ command, entrypoint }: WorkloadOciLaunchParams): PathError[] {
  const errors: PathError[] = [];
  if (command?.length === 0 && !entrypoint) {
    errors.push({
      path: '/command',
      code: 'empty',
      message: "must not be empty: leave it out to run the image's own, or give an entrypoint",
    });
  }
  if (entrypoint?.[0] === '') {
    errors.push({ path: '/entrypoint/0', code: 'empty', message: 'must name a program' });
  }
  return errors;
}

export function judgeSandbox(
  { sandbox, resources }: { readonly sandbox: Sandbox; readonly resources: Pick<Resources, 'gpu_count'> },
  { sandboxes, gvisor_cards: hasCards = false }: HostPolicy,
): Finding[] {
  const isThere = sandboxes[sandbox] !== undefined;
  const lacksCards = sandbox === 'gvisor' && resources.gpu_count > 0 && !hasCards;
  const wrong = (code: string, message: string) => [{ path: '/sandbox', code, message }];
  return [
    {
      failure: 'sandbox.unavailable',
      errors: isThere ? [] : wrong('unavailable', `${sandbox} is not offered by this host`),
    },
    {
      failure: 'sandbox.no_cards',
      errors: lacksCards ? wrong('no_cards', 'has no cards here: `gvisor_cards` of this host is not set') : [],
    },
  ];
}

/** Returns the name to create from, once it is sure that this is the image the task means. */
function verifyImage({ image: source }: WorkloadOciLaunchParams, policy: HostPolicy, image: ImageFacts): string {
  if (source.kind === 'local') {
    if (image.id !== source.image_id) {
      throw new AgentError('image.digest_mismatch', { expected: source.image_id, actual: image.id });
    }
    return source.image_id;
  }
  const ref = assertAllowedImage(source.reference, policy.registries);
  if (!image.repoDigests.some((digest) => isRepoDigestOf(digest, ref))) {
    throw new AgentError('image.digest_mismatch', { expected: source.reference, actual: image.repoDigests });
  }
  return source.reference;
}

function checkImage({ params, image }: Omit<RenderInput, 'cards'>): PathError[] {
  const targets = bindTargets(params);
  const sentences = [
    ...describeBadImageEnv(image.env),
    ...describeBadVolumes(image.volumes, targets),
    ...describeBadWorkingDir(image.workingDir, targets),
  ];
  const unusable = sentences.map((message) => ({ path: '/image', code: 'image_refused', message }));
  const health = params.readiness.flatMap(({ type }, index) =>
    type === 'container_health' && !image.hasHealthcheck
      ? [{ path: `/readiness/${index}`, code: 'no_health_check', message: 'the image has no health check to wait for' }]
      : [],
  );
  return [...unusable, ...health];
}

/** Values that were sealed until now have not been judged yet. They are never repeated. */
function checkEnv({ params, sealedEnv, image }: Omit<RenderInput, 'cards'>): PathError[] {
  const sealed = Object.keys(params.sealed_env ?? {});
  if (sealed.length !== Object.keys(sealedEnv).length || !sealed.every((name) => Object.hasOwn(sealedEnv, name))) {
    throw new AgentError('internal', { reason: 'The opened variables are not those that were sealed.' });
  }
  const errors = Object.entries(sealedEnv)
    .filter(([name, value]) => value.includes('\0') || name.length + 1 + value.length > maxEntryLength)
    .map(([name]) => ({
      path: `/sealed_env/${name}`,
      code: 'malformed_value',
      message: `must not hold a NUL character, nor be longer than ${maxEntryLength} characters with its name`,
    }));
  const count = Object.keys(params.env).length + sealed.length + 1 + neutralised(image.env).length;
  return count <= maxEntries
    ? errors
    : [...errors, { path: '/env', code: 'too_many', message: `has more than ${maxEntries} entries with the image's` }];
}
