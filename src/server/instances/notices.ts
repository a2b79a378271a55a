/**
 * What became of the image or of the version of an instance since it was launched. What runs goes on: people are told, and
 * decide. The notice is read from how things are; the event is written with the decision, in one transaction.
 */
import { type Static, Type } from 'typebox';
import { livingStates } from '../../contract/instance-state.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Artifact } from '../db/entities/artifact.ts';
import type { AppVersion } from '../db/entities/catalog.ts';
import { appendEvent, type Cause } from '../db/events.ts';
import type { Tx } from '../db/store.ts';

const texts = {
  artifact_deprecated: {
    message: 'Nothing new is launched from its image any more.',
    hint: 'Launch the app anew from a newer image when it suits you, and decommission this instance.',
  },
  artifact_retired: {
    message: 'Its image is retired.',
    hint: 'Launch the app anew from a newer image: once nothing is left of this instance on its host, it cannot be started again.',
  },
  artifact_failed: {
    message: 'The registry does not have its image any more as it was registered.',
    hint: 'Ask the operator of the platform; once the host has dropped the image, the instance cannot be started again.',
  },
  artifact_revoked: {
    message: 'The trust in its image was taken back.',
    hint: 'It runs on, and is not started again. Save what you need, launch the app from another image, and decommission this instance.',
  },
  version_withdrawn: {
    message: 'Its version of the app is not offered any more.',
    hint: 'Launch the app in a version that the catalog offers when it suits you.',
  },
} as const;

export type NoticeCode = keyof typeof texts;
const codes = Object.keys(texts) as NoticeCode[];

export const Notice = Type.Object(
  {
    code: Type.Enum(codes, { description: 'What became of what it was launched from.' }),
    message: Type.String({ description: 'The same, for a person.' }),
    reason: Type.Union([Type.String(), Type.Null()], {
      description: 'Why, as whoever decided it or the registry said; null where nobody was asked.',
    }),
    hint: Type.String({ description: 'What can be done.' }),
  },
  { additionalProperties: false, description: 'Something to know about an instance that goes on.' },
);
export type Notice = Static<typeof Notice>;

/** Undefined for what is not there any more: of that nothing is known. */
export function noticesOf(
  artifact: Pick<Artifact, 'lifecycle' | 'trust' | 'endings' | 'verification'> | undefined,
  version: Pick<AppVersion, 'status'> | undefined,
): Notice[] {
  const happened: NoticeCode[] = [
    ...(artifact?.trust === 'revoked' ? (['artifact_revoked'] as const) : []),
    ...(artifact?.trust === 'failed' ? (['artifact_failed'] as const) : []),
    ...(artifact?.lifecycle === 'retired' ? (['artifact_retired'] as const) : []),
    ...(artifact?.lifecycle === 'deprecated' ? (['artifact_deprecated'] as const) : []),
    ...(version?.status === 'withdrawn' ? (['version_withdrawn'] as const) : []),
  ];
  return happened.map((code) => ({ code, ...texts[code], reason: reasonOf(code, artifact) }));
}

function reasonOf(code: NoticeCode, artifact: Pick<Artifact, 'endings' | 'verification'> | undefined): string | null {
  if (code === 'artifact_failed') return artifact?.verification?.message ?? null;
  return artifact?.endings?.findLast(({ became }) => code === `artifact_${became}`)?.reason ?? null;
}

/** Whether an instance was launched from the artifact. */
export function isFrom({ id }: Pick<Artifact, 'id'>): (instance: AppInstance) => boolean {
  return ({ artifact_id }) => artifact_id === id;
}

/** An event `apps.instance.<code>` for every living instance that it is about. `why` is what the operator said, if anything. */
export async function notifyInstances(
  tx: Tx,
  cause: Cause,
  code: NoticeCode,
  isAffected: (instance: AppInstance) => boolean,
  why = '',
): Promise<void> {
  const living = await tx.app_instances.list({ where: { state: livingStates } });
  for (const { id, project_id } of living.filter(isAffected)) {
    await appendEvent(tx, cause, {
      ...{ type: `apps.instance.${code}`, project_id, subject: { kind: 'app_instance', id } },
      message: [texts[code].message, why].filter((part) => part !== '').join(' '),
      data: { hint: texts[code].hint },
    });
  }
}
