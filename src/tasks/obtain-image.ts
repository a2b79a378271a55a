/** Gets the image of a launch onto the engine: a local one has to be there, another one is pulled by its digest. */
import { AgentError } from '../contract/failures.ts';
import type { RegistryImage, WorkloadOciLaunchParams } from '../contract/workload-oci-launch.ts';
import type { ImageFacts } from '../policy/container-request.ts';
import type { PullProgress } from '../runtime/engine.ts';
import type { TaskContext } from './task-context.ts';

/** `image.not_found` for a local one that is not there; otherwise as a pull fails. */
export async function obtainImage(params: WorkloadOciLaunchParams, context: TaskContext): Promise<ImageFacts> {
  const { engine, signal } = context;
  if (params.image.kind === 'local') {
    const image = await engine.image(params.image.image_id, signal);
    if (!image) {
      throw new AgentError('image.not_found', { image: params.image.image_id });
    }
    return image;
  }
  return await pullImage(params.image, context);
}

/** `facts` are put beside those of each progress report: whose image it is. */
export async function pullImage(
  image: RegistryImage,
  context: TaskContext,
  facts: Record<string, unknown> = {},
): Promise<ImageFacts> {
  const { engine, policy, signal, log } = context;
  return await engine.pull(image, {
    signal,
    credential: (wanted) => context.pullCredential(wanted),
    diskReserveBytes: policy.reserves.disk_gib * 2 ** 30,
    makeRoom: context.jobs.room?.make,
    onProgress: (progress) =>
      context.emit('image.progress', describeProgress(progress), { ...facts, ...progressValues(progress) }),
    onRetry: ({ attempt, delayMs, error }) =>
      log.warn({ attempt, delay_ms: delayMs, err: error }, 'pull failed, will retry'),
  });
}

function describeProgress({ layers, layersDone, bytes, bytesTotal }: PullProgress): string {
  const mib = (count: number) => `${(count / 2 ** 20).toFixed(1)} MiB`;
  return `${layersDone} of ${layers} layers, ${mib(bytes)}${bytesTotal === null ? '' : ` of ${mib(bytesTotal)}`}`;
}

function progressValues({ layers, layersDone, bytes, bytesTotal }: PullProgress): Record<string, unknown> {
  return { layers, layers_done: layersDone, bytes, bytes_total: bytesTotal };
}
