/** Images: pulled by digest from allowed repositories, and looked at where a workload could run them. */
import { AgentError } from '../contract/failures.ts';
import { recordedImage } from '../policy/host-policy.ts';
import { assertAllowedImage, readAllowedImage } from '../policy/image-reference.ts';
import { sendAnswer, sendStream } from './answers.ts';
import type { GateCall, GateContext } from './context.ts';
import type { ImageObject } from './engine-objects.ts';
import { engineMessage } from './sealed-containers.ts';

/** A header of credentials for one pull: URL-safe base64 of at most 16 KiB. */
const registryAuth = /^[A-Za-z0-9_=+/-]{1,16384}$/;

export async function pullImage(call: GateCall, gate: GateContext): Promise<void> {
  const { fromImage = '', tag = '' } = call.query;
  const { host, repository, digest } = assertAllowedImage(`${fromImage}@${tag}`, gate.policy.registries);
  const auth = call.request.headers['x-registry-auth'];
  if (auth !== undefined && !(typeof auth === 'string' && registryAuth.test(auth))) {
    const error = { path: 'X-Registry-Auth', code: 'pattern', message: 'is not one credential in base64' };
    throw new AgentError('policy.refused', { errors: [error] });
  }
  const incoming = await gate.engine.stream({
    method: 'POST',
    path: '/images/create',
    query: { fromImage: `${host}/${repository}`, tag: digest },
    headers: auth === undefined ? {} : { 'x-registry-auth': auth },
    signal: call.signal,
  });
  await sendStream(call.response, incoming);
}

/** An image by digest of an allowed repository, or by the id of one that may run here. */
export async function inspectImage(call: GateCall, gate: GateContext): Promise<void> {
  const ref = call.params['image'] ?? '';
  if (!ref.startsWith('sha256:')) assertAllowedImage(ref, gate.policy.registries);
  const path = `/images/${encodeURIComponent(ref)}/json`;
  const answer = await gate.engine.ask({ method: 'GET', path, signal: call.signal });
  if (answer.status !== 404 && answer.status !== 200) {
    throw new AgentError('engine.failed', { status: answer.status, reason: engineMessage(answer) });
  }
  if (answer.status === 404 || !mayRun(JSON.parse(answer.body.toString()) as ImageObject, gate)) {
    throw new AgentError('image.not_found', { image: ref });
  }
  sendAnswer(call.response, answer);
}

/** Whatever the engine has under this name; undefined where it has nothing. */
export async function lookAtImage(
  ref: string,
  gate: GateContext,
  signal: AbortSignal,
): Promise<ImageObject | undefined> {
  const answer = await gate.engine.ask({ method: 'GET', path: `/images/${encodeURIComponent(ref)}/json`, signal });
  if (answer.status === 404) return undefined;
  if (answer.status === 200) return JSON.parse(answer.body.toString()) as ImageObject;
  throw new AgentError('engine.failed', { status: answer.status, reason: engineMessage(answer) });
}

function mayRun({ Id, RepoDigests }: ImageObject, { policy, builtImages }: GateContext): boolean {
  if (recordedImage(policy, Id) !== undefined || builtImages.projectsOf(Id).length > 0) return true;
  // The engine leaves out its default registry and that one's default folder.
  const spellings = (RepoDigests ?? []).flatMap((digest) => [
    digest,
    `docker.io/${digest}`,
    `docker.io/library/${digest}`,
  ]);
  return spellings.some((reference) => readAllowedImage(reference, policy.registries).ok);
}
