/**
 * `POST /containers/create`: the one way a container of ours comes to be.
 *
 * First what can be judged without the engine, then what the engine knows about the image, then the folders, and only
 * then a request of our own making, sealed. Its network, named by the seal, may still be in the making: the start asks for
 * it. What the engine made of it is looked at once: a container on which the seal does not hold is taken away again, since
 * nobody could ever stop or remove it through the gate.
 */
import { cpus, totalmem } from 'node:os';
import { AgentError } from '../contract/failures.ts';
import { labels } from '../contract/names.ts';
import type { PathError } from '../contract/validate.ts';
import { checkContainerRequest } from '../policy/check-container.ts';
import { readClientRequest } from '../policy/client-request.ts';
import type { ImageFacts } from '../policy/container-request.ts';
import { maxVolumes } from '../policy/dockerfile-values.ts';
import { type HostPolicy, workloadRoot } from '../policy/host-policy.ts';
import type { AnyContainerRequest } from '../policy/job-request.ts';
import { refuse } from '../policy/refusal.ts';
import { sendAnswer } from './answers.ts';
import { withCaches } from './caches.ts';
import { withCards } from './cards.ts';
import { type GateCall, type GateContext, ownDeadlineMs } from './context.ts';
import type { ImageObject, Labels } from './engine-objects.ts';
import { instanceLock } from './locks.ts';
import { prepareMounts, removeCreated } from './mount-folders.ts';
import { endpointOf, isOurs } from './networks.ts';
import { engineMessage } from './sealed-containers.ts';
import type { EngineAnswer } from './upstream.ts';
import { ensureVolumes } from './volumes.ts';

export async function createContainer(call: GateCall, gate: GateContext): Promise<void> {
  const name = call.query['name'] ?? '';
  const { request: plain, networkId } = readClientRequest(call.body);
  check(name, plain, gate, assumedFacts(plain));
  const request = plain as AnyContainerRequest;
  refuse([{ failure: 'resources.exceeded', errors: checkHostSize(request, gate.policy) }]);
  if (networkId !== undefined) await assertNetwork(networkId, request, gate, call.signal);
  const image = await imageFacts(request.Image, gate, call.signal);
  check(name, request, gate, image);

  const answer = await gate.locks.run(instanceLock(instanceOf(request)), () => {
    call.signal.throwIfAborted();
    return withCards(name, request, gate, call.signal, () =>
      withCaches(asUser(request, image), gate, (sent) => create(name, sent, gate)),
    );
  });
  sendAnswer(call.response, answer);
}

type FactsOfImage = ImageFacts & { readonly user: string };
/** As the engine is sent it, and shows it afterwards. */
type Sent = Omit<AnyContainerRequest, 'User'> & { readonly User: string };

/** Who runs a container of a job is its image's to say; said here as well, so that the seal covers what it says. */
function asUser(request: AnyContainerRequest, { user }: FactsOfImage): Sent {
  return request.User === '' ? { ...request, User: user } : request;
}

async function create(name: string, request: Sent, gate: GateContext): Promise<EngineAnswer> {
  // Not the client's signal: it may go away, but a container that was begun is finished and checked.
  const signal = AbortSignal.timeout(ownDeadlineMs);
  await ensureVolumes(request, gate, signal);
  const { created } = await prepareMounts(request.HostConfig.Mounts, gate.policy);

  try {
    const Labels = gate.seals.sealContainer(name, request, request.Labels);
    const body = { ...request, NetworkingConfig: networkingOf(request), Labels };
    const answer = await gate.engine.ask({ method: 'POST', path: '/containers/create', query: { name }, body, signal });
    if (answer.status === 409) await refuseForeignName(name, gate, signal);
    if (answer.status !== 201) {
      await removeCreated(created);
      return answer;
    }
    await assertSealed(name, answer, gate, signal);
    return withFreshData(answer, created.includes(workloadRoot(gate.policy, instanceOf(request))));
  } catch (error) {
    await removeCreated(created);
    throw error;
  }
}

function instanceOf({ Labels }: Pick<AnyContainerRequest, 'Labels'>): string {
  return Labels[labels.instance] ?? '';
}

/** Not as the client wrote it: the same as when the container is put into a network that was made anew. */
function networkingOf({ HostConfig, Labels }: Sent) {
  const endpoint = HostConfig.NetworkMode === 'none' ? undefined : endpointOf(Labels);
  return endpoint && { EndpointsConfig: { [HostConfig.NetworkMode]: endpoint } };
}

/** A client that names its network by id means the one of the labelled instance, or is refused. */
async function assertNetwork(id: string, { HostConfig }: AnyContainerRequest, gate: GateContext, signal: AbortSignal) {
  const error = { path: '/HostConfig/NetworkMode', code: 'network', message: 'is not the network of the instance' };
  const fine = await isOurs(id, HostConfig.NetworkMode, gate, signal);
  refuse([{ failure: 'policy.refused', errors: fine ? [] : [error] }]);
}

/** Tells the client, beside what the engine says, whether nothing of an earlier container was in the scratch root. */
function withFreshData(answer: EngineAnswer, fresh: boolean): EngineAnswer {
  const body = { ...(JSON.parse(answer.body.toString()) as object), FreshData: fresh };
  return { ...answer, body: Buffer.from(JSON.stringify(body)) };
}

function check(name: string, request: unknown, { policy }: GateContext, image: ImageFacts): void {
  const errors: PathError[] = checkContainerRequest({ name, request, policy, image });
  refuse([{ failure: 'policy.refused', errors }]);
}

const GiB = 2 ** 30;

/** One container cannot be promised more than the host has: what that would do to the others is the kernel's guess. */
function checkHostSize({ HostConfig }: AnyContainerRequest, { reserves }: HostPolicy): PathError[] {
  const most = { Memory: Math.floor(totalmem() - reserves.memory_gib * GiB), NanoCpus: cpus().length * 1e9 };
  return (['Memory', 'NanoCpus'] as const).flatMap((key) =>
    HostConfig[key] > most[key]
      ? [{ path: `/HostConfig/${key}`, code: 'limit', message: `must not exceed ${most[key]}, which the host has` }]
      : [],
  );
}

/** Stands for the image in the first check: an image of exactly that reference, with nothing in it to object to. */
function assumedFacts(request: unknown): ImageFacts {
  const { Image: image, Labels } = (request ?? {}) as { Image?: unknown; Labels?: Labels | null };
  const project = Labels?.[labels.project];
  const reference = typeof image === 'string' ? image : '';
  const builtFor = project === undefined ? [] : [project];
  return {
    id: reference,
    builtFor,
    repoDigests: [reference],
    env: [],
    volumes: [],
    workingDir: '',
    hasHealthcheck: false,
  };
}

async function imageFacts(reference: string, gate: GateContext, signal: AbortSignal): Promise<FactsOfImage> {
  const path = `/images/${encodeURIComponent(reference)}/json`;
  const answer = await gate.engine.ask({ method: 'GET', path, signal });
  if (answer.status === 404) throw new AgentError('image.not_found', { image: reference });
  if (answer.status !== 200) {
    throw new AgentError('engine.failed', { status: answer.status, reason: engineMessage(answer) });
  }
  const { Id, RepoDigests, Config } = JSON.parse(answer.body.toString()) as ImageObject;
  refuse([{ failure: 'policy.refused', errors: checkImageBounds(Config) }]);
  const test = Config?.Healthcheck?.Test ?? [];
  return {
    id: Id,
    builtFor: gate.builtImages.projectsOf(Id),
    user: Config?.User ?? '',
    repoDigests: RepoDigests ?? [],
    env: Config?.Env ?? [],
    volumes: Object.keys(Config?.Volumes ?? {}),
    workingDir: Config?.WorkingDir ?? '',
    hasHealthcheck: test.length > 0 && test[0] !== 'NONE',
  };
}

const maxLabelBytes = 64 * 1024;

const maxPorts = 1024;

/**
 * What the engine writes on each container of the image: labels into every list and every event, where large ones would end both for
 * all, and each volume and port, of which an image may have a hundred thousand, with every step of a build as well.
 */
export function checkImageBounds(config: ImageObject['Config']): PathError[] {
  const { Labels, Volumes, ExposedPorts } = config ?? {};
  const count = (things: object | null | undefined) => Object.keys(things ?? {}).length;
  const wrong = [
    ...(Buffer.byteLength(JSON.stringify(Labels ?? {})) > maxLabelBytes
      ? [`the labels of the image are larger than ${maxLabelBytes} bytes`]
      : []),
    ...(count(Volumes) > maxVolumes ? [`the image declares more than ${maxVolumes} volumes`] : []),
    ...(count(ExposedPorts) > maxPorts ? [`the image exposes more than ${maxPorts} ports`] : []),
  ];
  return wrong.map((message) => ({ path: '/Image', code: 'image_refused', message }));
}

async function refuseForeignName(name: string, gate: GateContext, signal: AbortSignal): Promise<void> {
  const seen = await gate.containers.look(name, signal);
  if (seen.kind === 'foreign') throw new AgentError('name.conflict', { container: name });
}

async function assertSealed(name: string, made: EngineAnswer, gate: GateContext, signal: AbortSignal): Promise<void> {
  const { Id } = JSON.parse(made.body.toString()) as { Id: string };
  const seen = await gate.containers.look(Id, signal);
  if (seen.kind === 'sealed') return;
  gate.log.error({ container: name, container_id: Id }, 'new container does not carry its seal, removed');
  await gate.engine.ask({ method: 'DELETE', path: `/containers/${Id}`, query: { v: '1', force: '1' }, signal });
  throw new AgentError('engine.failed', { reason: 'The engine changed what it was asked to create.' });
}
