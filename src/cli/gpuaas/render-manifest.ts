/** `gpuaas manifest render`: the task that a launch of a manifest becomes, without a control plane and without secrets. */
import type { TaskType } from '../../contract/tasks.ts';
import type { PathError } from '../../contract/validate.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import { resolveValues } from '../../manifests/gpuaas/resolve-values.ts';
import { adapterOf } from '../../server/adapters/index.ts';
import { exposureOf, storageOf } from '../../server/launch/adapter-input.ts';

export interface RenderedManifest {
  readonly tasks: readonly { readonly type: TaskType; readonly params: object }[];
  /** Images without a digest: `path` is where the manifest names them. */
  readonly unresolved: readonly { readonly path: string; readonly reference: string }[];
}

export interface RenderWish {
  readonly config: Readonly<Record<string, unknown>>;
  readonly resource_overrides: Readonly<Record<string, unknown>>;
  /** `registry/repository@sha256:…` by name of an artifact. */
  readonly pins: Readonly<Record<string, string>>;
}

export type Rendered =
  | { readonly ok: true; readonly rendered: RenderedManifest }
  /** Pointers into a launch request. */
  | { readonly ok: false; readonly errors: readonly PathError[] };

/** Throws for an engine that nothing drives: `launch.engine_not_active` is told by the control plane for such a launch. */
export function renderManifest(profile: WorkloadProfile, { pins, ...choices }: RenderWish): Rendered {
  const resolved = resolveValues(profile, choices);
  if (!resolved.ok) return resolved;
  const { values } = resolved;
  const { slug, display_name } = profile.profile;
  const name = profile.artifacts['primary_image']?.artifact_name ?? slug;
  const reference = Object.hasOwn(pins, name) ? pins[name] : undefined;
  const { type, params } = adapterOf(profile.execution.default_engine).launch({
    ...{ profile, values, storage: storageOf(profile, values), exposure: exposureOf(profile, values) },
    identity: {
      ...{ project_id: 'project', app_instance_id: 'instance', allocation_id: 'allocation' },
      ...{ app_slug: slug, app_version: 'offline', display_name },
    },
    placement: { allocation_id: 'allocation', node_id: 'node' },
    image: { kind: 'registry', reference: reference ?? name, media_type: 'application/vnd.oci.image.manifest.v1+json' },
    ...{ secrets: [], sealed_files: {}, sealed_env: {} },
  });
  const unresolved =
    reference === undefined ? [{ path: '/artifacts/primary_image/artifact_name', reference: name }] : [];
  return { ok: true, rendered: { tasks: [{ type, params }], unresolved } };
}
