/**
 * Networks of workloads: one each, from the pool of this host, sealed like containers.
 *
 * The gate alone chooses subnets, under one lock, so that two launches at once never ask for the same one. What others
 * use is seen in the engine's list; what the engine still objects to is skipped.
 */
import { AgentError } from '../contract/failures.ts';
import { containerName, egressName, labels } from '../contract/names.ts';
import { readNames } from '../policy/check-job-container.ts';
import { nowhere } from '../policy/job-request.ts';
import {
  checkNetworkRequest,
  type NetworkRequest,
  type NetworkWay,
  overlaps,
  renderNetwork,
  subnetsOf,
} from '../policy/network-request.ts';
import { refuse } from '../policy/refusal.ts';
import { sendAnswer, sendJson } from './answers.ts';
import { type GateCall, type GateContext, ownDeadlineMs } from './context.ts';
import type { ContainerObject, Labels, NetworkObject } from './engine-objects.ts';
import { networkFilters } from './filters.ts';
import { routedRanges } from './host-routes.ts';
import { engineMessage, isOurName } from './sealed-containers.ts';
import type { EngineAnswer } from './upstream.ts';

/** Subnets that the engine may object to before it is believed that it objects to something else. */
const maxAttempts = 8;

export async function createNetwork(call: GateCall, gate: GateContext): Promise<void> {
  refuse([{ failure: 'policy.refused', errors: checkNetworkRequest(call.body, gate.policy) }]);
  const request = call.body as NetworkRequest;
  sendAnswer(call.response, await gate.locks.run('networks', () => create(request, gate)));
}

export async function inspectNetwork(call: GateCall, gate: GateContext): Promise<void> {
  const [network] = await findOurs(call.params['network'] ?? '', gate, call.signal);
  sendJson(call.response, 200, network);
}

export async function listNetworks(call: GateCall, gate: GateContext): Promise<void> {
  const networks = await list(gate, call.signal, networkFilters(call.query['filters']));
  sendJson(
    call.response,
    200,
    networks.filter((network) => gate.seals.holdsForNetwork(network)),
  );
}

/**
 * By their ids: the engine allows several networks of one name, and then does not tell them apart by it. With that of a job goes the one
 * by which its proxy had a way out.
 */
export async function removeNetwork(call: GateCall, gate: GateContext): Promise<void> {
  const ref = call.params['network'] ?? '';
  const found = await namedSo(ref, gate, call.signal);
  const signal = AbortSignal.timeout(ownDeadlineMs);
  const wayOut = found.filter(({ Name }) => Name === `${ref}.${egressName}`);
  await removeSpare(wayOut, gate, signal);
  const [first, ...others] = theOnes(found, ref);
  await removeSpare(others, gate, signal);
  sendAnswer(call.response, await remove(first, gate, signal));
}

/**
 * Refuses the network of a container, or of a build, unless it is there and ours alone: `name.conflict` beside another's, as the engine
 * would choose between them.
 */
export async function requireNetwork(name: string, gate: GateContext, signal: AbortSignal): Promise<NetworkObject> {
  const [ours, ...others] = findAlone(name, await list(gate, signal, { name: [name] }), gate);
  await removeSpare(others, gate, signal);
  if (ours !== undefined) return ours;
  throw new AgentError('engine.failed', { network: name, reason: `There is no network ${name} to start in.` });
}

/**
 * Puts a container that does not run into the network of its name. The engine knows networks by their ids: a container that
 * was in one that was taken away and made anew would be started in the old one, and so never again.
 */
export async function attach(
  { Id, Config: { Labels }, HostConfig: { NetworkMode: name = '', Dns }, NetworkSettings }: ContainerObject,
  gate: GateContext,
  signal: AbortSignal,
): Promise<void> {
  if (name === 'none') return;
  const network = await requireNetwork(name, gate, signal);
  assertWay(network, Dns);
  const known = NetworkSettings?.Networks?.[name]?.NetworkID ?? '';
  if (known === '' || known === network.Id) return;
  gate.log.warn({ container_id: Id, network: name }, 'network was made anew, container is put into it');
  const EndpointConfig = endpointOf(Labels ?? {});
  for (const [action, how] of [['disconnect', { Force: true }] as const, ['connect', { EndpointConfig }] as const]) {
    const path = `/networks/${network.Id}/${action}`;
    const answer = await gate.engine.ask({ method: 'POST', path, body: { Container: Id, ...how }, signal });
    if (answer.status !== 200) throw engineFailure(answer);
  }
}

/**
 * Who was made for a network without a way out starts in no other, and in such a network nobody who would have the engine ask name
 * servers of the host.
 */
function assertWay({ Internal, Name }: NetworkObject, dns: unknown): void {
  const isMadeForIt = Array.isArray(dns) && dns.length === 1 && dns[0] === nowhere;
  if ((Internal === true) === isMadeForIt) return;
  const message = `${Name} ${Internal === true ? 'leads nowhere' : 'has a way out'}, and the container is not made for that`;
  refuse([{ failure: 'policy.refused', errors: [{ path: '/HostConfig/Dns', code: 'network', message }] }]);
}

interface Endpoint {
  readonly Aliases: readonly string[];
  readonly Links?: readonly string[];
}

/**
 * By which names the others of a stack or a job find a part of it in their network; undefined for a single container. In the network
 * of a group parts of other jobs are called the same: there it has no name, and finds those of its own job by links, which
 * are names for it alone.
 */
export function endpointOf({
  [labels.instance]: job = '',
  [labels.service]: service,
  [labels.aliases]: aliases,
  [labels.peers]: peers,
}: Labels): Endpoint | undefined {
  if (service === undefined) return undefined;
  return peers === undefined
    ? { Aliases: [service, ...readNames(aliases)] }
    : { Aliases: [], Links: readNames(peers).map((peer) => `${containerName(job, peer)}:${peer}`) };
}

/** True if the engine knows a network of ours by this full id and this name. */
export async function isOurs(id: string, name: string, gate: GateContext, signal: AbortSignal): Promise<boolean> {
  const networks = await list(gate, signal, { id: [id] });
  return networks.some((network) => network.Id === id && network.Name === name && gate.seals.holdsForNetwork(network));
}

/** Those of this name, or the one of this id, whose seal holds; another's is as good as none. */
async function findOurs(
  ref: string,
  gate: GateContext,
  signal: AbortSignal,
): Promise<[NetworkObject, ...NetworkObject[]]> {
  return theOnes(await namedSo(ref, gate, signal), ref);
}

/** Ours of which the name, or the id, has that in it. */
async function namedSo(ref: string, gate: GateContext, signal: AbortSignal): Promise<NetworkObject[]> {
  const networks = await list(gate, signal, { [isOurName(ref) ? 'name' : 'id']: [ref] });
  return networks.filter((network) => gate.seals.holdsForNetwork(network));
}

function theOnes(ours: readonly NetworkObject[], ref: string): [NetworkObject, ...NetworkObject[]] {
  const [first, ...others] = ours.filter(({ Id, Name }) => Name === ref || Id.startsWith(ref));
  if (first === undefined) throw noSuchNetwork(ref);
  return [first, ...others];
}

/**
 * A gate that is killed while the engine makes a network leaves one that the next gate may not see yet: then there are two, and
 * the engine starts nothing in either. Nothing has, so the spare ones can go.
 */
async function removeSpare(networks: readonly NetworkObject[], gate: GateContext, signal: AbortSignal): Promise<void> {
  for (const network of networks) {
    const answer = await remove(network, gate, signal);
    if (answer.status !== 204 && answer.status !== 404) throw engineFailure(answer);
  }
}

async function remove({ Id }: NetworkObject, gate: GateContext, signal: AbortSignal): Promise<EngineAnswer> {
  return await gate.engine.ask({ method: 'DELETE', path: `/networks/${Id}`, signal });
}

/** `filters` saves the engine and us the rest, but is no exact match. */
async function list(
  gate: GateContext,
  signal: AbortSignal,
  filters?: Readonly<Record<string, readonly string[]>>,
): Promise<NetworkObject[]> {
  const query = filters === undefined ? {} : { filters: JSON.stringify(filters) };
  const answer = await gate.engine.ask({ method: 'GET', path: '/networks', query, signal });
  if (answer.status !== 200) throw engineFailure(answer);
  return JSON.parse(answer.body.toString()) as NetworkObject[];
}

/** A network of that name, with or without a way out; `name.conflict` where there is one of the other kind. */
export async function ensureWay(request: NetworkRequest, way: NetworkWay, gate: GateContext): Promise<NetworkObject> {
  const signal = AbortSignal.timeout(ownDeadlineMs);
  await gate.locks.run('networks', async () => {
    const answer = await create(request, gate, way);
    if (answer.status !== 201 && answer.status !== 409) throw engineFailure(answer);
  });
  const network = await requireNetwork(request.Name, gate, signal);
  if ((network.Internal === true) !== (way === 'closed')) {
    const reason = `The network ${request.Name} is there, and not ${way}.`;
    throw new AgentError('name.conflict', { network: request.Name, reason });
  }
  return network;
}

async function create(request: NetworkRequest, gate: GateContext, way: NetworkWay = 'open'): Promise<EngineAnswer> {
  const signal = AbortSignal.timeout(ownDeadlineMs);
  const present = await list(gate, signal);
  if (findAlone(request.Name, present, gate).length > 0) return alreadyThere(request.Name);
  const engineMajor = way === 'closed' ? await gate.engine.major() : 0;

  const taken = present.flatMap(({ IPAM }) => (IPAM?.Config ?? []).flatMap(({ Subnet }) => Subnet ?? []));
  taken.push(...(await routedRanges()));
  let attempts = 0;
  for (const subnet of subnetsOf(gate.policy.network_pool)) {
    if (taken.some((other) => overlaps(other, subnet))) continue;
    const body = renderNetwork(request, subnet, { way, engineMajor });
    const sealed = { ...body, Labels: gate.seals.sealNetwork(body) };
    const answer = await gate.engine.ask({ method: 'POST', path: '/networks/create', body: sealed, signal });
    attempts += 1;
    // 403 is the engine's word for a subnet that it counts as taken although no network shows it.
    if (answer.status !== 403 || attempts === maxAttempts) return answer;
    gate.log.warn({ network: request.Name, subnet, reason: engineMessage(answer) }, 'subnet refused, next one tried');
  }
  throw new AgentError('network.exhausted', { network: request.Name, pool: gate.policy.network_pool });
}

/** Those of this name, if all are ours; `name.conflict` if there is another's. */
function findAlone(name: string, present: readonly NetworkObject[], gate: GateContext): NetworkObject[] {
  const same = present.filter(({ Name }) => Name === name);
  if (same.some((network) => !gate.seals.holdsForNetwork(network))) {
    throw new AgentError('name.conflict', { network: name });
  }
  return same;
}

/** In the engine's own words, which need not be asked for: two launches of one instance share its network. */
function alreadyThere(name: string): EngineAnswer {
  const message = `network with name ${name} already exists`;
  return { status: 409, contentType: 'application/json', body: Buffer.from(JSON.stringify({ message })) };
}

function noSuchNetwork(ref: string): AgentError {
  return new AgentError('container.not_found', { network: ref, reason: `There is no network ${ref}.` });
}

function engineFailure(answer: EngineAnswer): AgentError {
  return new AgentError('engine.failed', { status: answer.status, reason: engineMessage(answer) });
}
