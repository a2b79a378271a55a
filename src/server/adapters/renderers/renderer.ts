/**
 * What a renderer is: a pure function from what was decided for a launch to the services of its stack.
 *
 * A renderer knows one app: its command line, its folders, its ways to become ready. It sees no secret and chooses no card,
 * no folder of the host and no address; `contract/compose-document.ts` has no word for them.
 */
import type { ComposeService } from '../../../contract/compose-document.ts';
import type { ParameterValue } from '../../../manifests/gpuaas/judge-parameter.ts';
import type { LaunchValues } from '../../../manifests/gpuaas/resolve-values.ts';
import type { ExposureDecision, StorageDecision } from '../adapter.ts';

export interface StackInput {
  /** In the order of the manifest, as many as `stackRules` says. */
  readonly services: readonly PlacedService[];
  /** Repository and digest. */
  readonly image: string;
  readonly parameters: Readonly<Record<string, ParameterValue>>;
  /** Of the whole stack: no more than that may its services have together. */
  readonly resources: LaunchValues['resources'];
  /** How long it may take to become ready; undefined where nobody said. */
  readonly startSeconds: number | undefined;
}

/** A service of the manifest, with what of the launch is its own. */
export interface PlacedService {
  readonly name: string;
  readonly exposure: readonly ExposureDecision[];
  readonly storage: readonly StorageDecision[];
  readonly environment: Readonly<Record<string, string>>;
}

export interface Renderer {
  /** Parameters that it gives a meaning of its own. */
  readonly parameters: readonly string[];
  render(input: StackInput): Record<string, ComposeService>;
}

export const gib = 2 ** 30;

/** Image, endpoints and folders: the same for every service of every stack. */
export function baseOf({ exposure, storage }: PlacedService, image: string) {
  const ports = exposure.map(({ endpoint, protocol, container_port, host_port }) => ({
    ...{ name: endpoint, target: container_port, published: host_port, host_ip: '127.0.0.1' as const },
    ...{ protocol: 'tcp' as const, app_protocol: protocol, mode: 'host' as const },
  }));
  const volumes = storage.map(({ name, path }) => ({
    ...{ type: 'volume' as const, source: name, target: path, read_only: false },
  }));
  return {
    image,
    ...(ports.length > 0 ? { ports } : {}),
    ...(volumes.length > 0 ? { volumes } : {}),
  };
}
