/** Gets the images of a stack onto the engine: each distinct one once, side by side. */
import type { WorkloadComposeLaunchParams } from '../contract/workload-compose-launch.ts';
import type { ImageFacts } from '../policy/container-request.ts';
import { servicesOf } from '../policy/stack-service.ts';
import { pullImage } from './obtain-image.ts';
import type { TaskContext } from './task-context.ts';

/** By service. The first pull that fails ends the others. */
export async function obtainStackImages(
  params: WorkloadComposeLaunchParams,
  context: TaskContext,
): Promise<Map<string, ImageFacts>> {
  const abort = new AbortController();
  const limited = { ...context, signal: AbortSignal.any([context.signal, abort.signal]) };
  const byImage = Map.groupBy(servicesOf(params), ([, { image }]) => image);
  const pulling = [...byImage].map(async ([reference, users]) => {
    const names = users.map(([name]) => name);
    const image = { kind: 'registry', reference, media_type: 'application/vnd.oci.image.manifest.v1+json' } as const;
    const facts = await pullImage(image, limited, { service: names.join(', ') });
    context.emit('image.ready', `The image of ${names.join(', ')} is there.`, { service: names.join(', ') });
    return names.map((name) => [name, facts] as const);
  });
  try {
    return new Map((await Promise.all(pulling)).flat());
  } catch (error) {
    abort.abort(error);
    await Promise.allSettled(pulling);
    throw error;
  }
}
