/**
 * `PUT /gpuaas/v1/jobs/{instance}/egress`: the way out of a job whose network is `allow_list`, whole when it is answered.
 *
 *   image ─▶ network of the job, closed ─▶ network with a way out ─▶ container in both ─▶ started ─▶ listens, answer
 *
 * Safe to repeat: what is there as it should be stays. A proxy that does not run, or lets through something else, is made anew; while it
 * is not there, nothing of the job gets out, since its own network leads nowhere.
 */
import { cpus } from 'node:os';
import { AgentError } from '../contract/failures.ts';
import { egressName, egressNetworkName, labels, networkName } from '../contract/names.ts';
import { pause } from '../kit/backoff.ts';
import { checkEgressRequest, type EgressRequest, renderEgress } from '../policy/egress-request.ts';
import type { NetworkRequest } from '../policy/network-request.ts';
import { refuse } from '../policy/refusal.ts';
import { sendJson } from './answers.ts';
import { type GateCall, type GateContext, ownDeadlineMs } from './context.ts';
import type { NetworkObject } from './engine-objects.ts';
import { ensureWay } from './networks.ts';
import { engineMessage } from './sealed-containers.ts';
import type { EngineAnswer, EngineCall } from './upstream.ts';

const lookMs = 20;
const startMs = 20_000;

export async function ensureEgress(call: GateCall, gate: GateContext): Promise<void> {
  const { instance = '' } = call.params;
  refuse([{ failure: 'policy.refused', errors: checkEgressRequest(instance, call.body, gate.policy) }]);
  const request = call.body as EgressRequest;
  const made = await gate.locks.run(`egress ${instance}`, () => {
    call.signal.throwIfAborted();
    return ensure(instance, request, gate, AbortSignal.timeout(ownDeadlineMs));
  });
  sendJson(call.response, 200, made);
}

/** Whether it had to be started, as one that was there before may have been for longer. */
async function ensure(job: string, request: EgressRequest, gate: GateContext, signal: AbortSignal) {
  const image = await gate.locks.run('egress image', () => gate.egressImage.ensure(signal));
  const inner = await ensureWay(networkOf(networkName(job), job, request), 'closed', gate);
  const listenIn = inner.IPAM?.Config?.[0]?.Subnet ?? '';
  const ground = { image: image.id, command: image.command, listenIn, cores: cpus().length };
  const { name, body } = renderEgress(job, request, gate.policy, ground);

  const seen = await gate.containers.look(name, signal);
  if (seen.kind === 'foreign') throw new AgentError('name.conflict', { container: name });
  if (seen.kind === 'sealed') {
    const { Config, State, Image, NetworkSettings } = seen.object;
    const isSame = Config.Labels?.[labels.spec] === body.Labels[labels.spec] && Image === image.id;
    const isInside = NetworkSettings?.Networks?.[networkName(job)]?.NetworkID === inner.Id;
    if (State.Running && isSame && isInside) return { container: name, started: false };
    await ask(gate, {
      method: 'DELETE',
      path: `/containers/${seen.container.id}`,
      query: { v: '1', force: '1' },
      signal,
    });
    gate.containers.forgetName(seen.container);
  }
  await ensureWay(networkOf(egressNetworkName(job), job, request), 'open', gate);
  const sealed = { ...body, Labels: gate.seals.sealContainer(name, body, body.Labels) };
  const created = await ask(gate, {
    method: 'POST',
    path: '/containers/create',
    query: { name },
    body: sealed,
    signal,
  });
  const { Id } = JSON.parse(created.body.toString()) as { Id: string };
  try {
    await begin(Id, inner, gate, signal);
  } catch (error) {
    await ask(gate, { method: 'DELETE', path: `/containers/${Id}`, query: { v: '1', force: '1' }, signal });
    throw error;
  }
  return { container: name, started: true };
}

async function begin(id: string, inner: NetworkObject, gate: GateContext, signal: AbortSignal): Promise<void> {
  // One whose seal does not hold could be taken away by nobody.
  await gate.containers.require(id, signal);
  const connect = { Container: id, EndpointConfig: { Aliases: [egressName] } };
  await ask(gate, { method: 'POST', path: `/networks/${inner.Id}/connect`, body: connect, signal });
  await ask(gate, { method: 'POST', path: `/containers/${id}/start`, signal });
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(startMs)]);
  for (;;) {
    const { object } = await gate.containers.require(id, signal);
    const said = await logOf(id, gate, signal);
    if (object.State.Running && said.includes('"listening"')) return;
    if (!object.State.Running || inTime.aborted) {
      const reason = `The proxy does not listen: ${said.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(-512)}`;
      throw new AgentError('egress.unavailable', { reason });
    }
    await pause(lookMs, signal);
  }
}

async function logOf(id: string, gate: GateContext, signal: AbortSignal): Promise<string> {
  const query = { stdout: '1', stderr: '1', tail: '50' };
  return (await ask(gate, { method: 'GET', path: `/containers/${id}/logs`, query, signal })).body.toString('latin1');
}

function networkOf(Name: string, job: string, { project_id, allocation_id }: EgressRequest): NetworkRequest {
  const owner = { [labels.instance]: job, [labels.project]: project_id, [labels.allocation]: allocation_id };
  return { Name, Driver: 'bridge', Labels: owner as NetworkRequest['Labels'] };
}

/** `egress.unavailable` where the engine does not do it. */
async function ask(gate: GateContext, call: EngineCall): Promise<EngineAnswer> {
  const answer = await gate.engine.ask(call);
  if (answer.status < 300) return answer;
  throw new AgentError('egress.unavailable', { status: answer.status, reason: engineMessage(answer) });
}
