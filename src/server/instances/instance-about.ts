/** The names behind the ids of an instance, and what was chosen for it, for people who look at it. */
import { type Static, Type } from 'typebox';
import { storageModes, supportLevels } from '../../manifests/gpuaas/profile.ts';
import { resolveValues } from '../../manifests/gpuaas/resolve-values.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import { storageOf } from '../launch/adapter-input.ts';
import type { Surroundings } from './surroundings.ts';

const closed = { additionalProperties: false } as const;
const name = (of: string) =>
  Type.Union([Type.String(), Type.Null()], { description: `Name of ${of}; null where it is not known any more.` });

export const Folder = Type.Object(
  {
    name: Type.String({ description: 'Name of the folder in the manifest.' }),
    path: Type.String({ description: 'Where it is inside the container.' }),
    mode: Type.Enum([...storageModes], { description: 'What it is kept on.' }),
  },
  { ...closed, description: 'A folder of an instance.' },
);

export const InstanceAbout = Type.Object(
  {
    app: name('the app'),
    support_level: Type.Union([Type.Enum([...supportLevels], { description: 'Level.' }), Type.Null()], {
      description: 'Who stands behind the app; null where its version is not known any more.',
    }),
    artifact: name('the image'),
    allocation: name('the allocation'),
    node: Type.Union([Type.String(), Type.Null()], { description: 'Name of the node; null before it has one.' }),
    exposure_mode: Type.String({ description: 'How its endpoints are reached.' }),
    storage: Type.Array(Folder, { description: 'Folders that it has, in the order of the manifest.' }),
  },
  { ...closed, description: 'The names behind its ids, and what was chosen for it.' },
);
export type InstanceAbout = Static<typeof InstanceAbout>;

export function aboutOf(
  { config }: AppInstance,
  { app, profile, artifact, allocation, node }: Surroundings,
): InstanceAbout {
  const resolved = profile && resolveValues(profile, { config, resource_overrides: {} });
  const mounts = resolved?.ok ? resolved.values.mounts : (resolved?.sound.mounts ?? {});
  return {
    app: app?.display_name ?? null,
    support_level: profile?.profile.support_level ?? null,
    artifact: artifact?.name ?? null,
    allocation: allocation?.name ?? null,
    node: node?.name ?? null,
    exposure_mode: String(config['exposure_mode'] ?? 'private'),
    storage: profile ? storageOf(profile, { mounts }) : [],
  };
}
