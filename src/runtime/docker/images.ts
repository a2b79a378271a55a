/** Images as the engine holds them. */
import type { ImageFacts } from '../../policy/container-request.ts';
import { orUndefined } from './call-errors.ts';
import type { Calls } from './calls.ts';

/** Undefined if the engine has no image of this reference or id. */
export async function inspectImage(
  calls: Calls,
  reference: string,
  signal: AbortSignal,
): Promise<ImageFacts | undefined> {
  const options = { call: 'image', timeoutMs: calls.timeouts.lookMs, signal };
  return await calls.run(options, async (docker, abortSignal) => {
    const image = await orUndefined(docker.getImage(reference).inspect({ abortSignal } as object));
    if (!image) {
      return undefined;
    }
    const config = (image.Config ?? {}) as ImageConfig;
    const test = config.Healthcheck?.Test ?? [];
    return {
      id: image.Id,
      repoDigests: image.RepoDigests ?? [],
      env: config.Env ?? [],
      volumes: Object.keys(config.Volumes ?? {}),
      workingDir: config.WorkingDir ?? '',
      hasHealthcheck: test.length > 0 && test[0] !== 'NONE',
    };
  });
}

interface ImageConfig {
  readonly Env?: readonly string[] | null;
  readonly Volumes?: Readonly<Record<string, unknown>> | null;
  readonly WorkingDir?: string | null;
  readonly Healthcheck?: { readonly Test?: readonly string[] | null } | null;
}
