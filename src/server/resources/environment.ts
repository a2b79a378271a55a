/** `/api/v1/environment/capabilities`: what can be had here, for forms that would otherwise offer it in vain. */
import { type Static, Type } from 'typebox';
import { protocolVersion } from '../../contract/protocol.ts';
import { adapters, plannedEngines } from '../adapters/index.ts';
import type { ServerContext } from '../context.ts';
import { channels } from '../db/entities/artifact.ts';
import { closed } from '../db/entities/fields.ts';
import { SignOff } from '../db/entities/sign-off.ts';
import type { ReadTx } from '../db/store.ts';
import { everybody } from '../http/access.ts';
import { type Route, route } from '../http/route.ts';
import { environmentOf } from '../launch/environment.ts';
import { somebodyLaunches } from '../launch/nobody-launches.ts';
import { latestSignOff } from '../launch/sign-off.ts';

const Engine = Type.Object(
  {
    name: Type.String({ description: 'Execution engine, as manifests name it.' }),
    enabled: Type.Boolean({ description: 'True if launches may use it.' }),
    reason: Type.Union([Type.String(), Type.Null()], { description: 'Why not; null if they may.' }),
  },
  { ...closed, description: 'An execution engine.' },
);

const { id: _, environment: __, ...signedOff } = SignOff.properties;

const Capabilities = Type.Object(
  {
    version: Type.String({ description: 'Version of the control plane.' }),
    agent_protocol: Type.Integer({ description: 'Version of the session with agents.' }),
    exposure_modes: Type.Array(Type.String(), { description: 'How endpoints may be exposed.' }),
    engines: Type.Array(Engine, { description: 'Execution engines, those that are planned included.' }),
    artifact_policy: Type.String({ description: 'Least lifecycle of an artifact that may be launched.' }),
    artifact_channel: Type.Union([Type.Enum([...channels], { description: 'Channel.' }), Type.Null()], {
      description: 'Channel that an artifact must be promoted to; null where any does, or none is asked for.',
    }),
    registries: Type.Array(Type.String(), { description: 'Registries that artifacts may come from.' }),
    launch_sign_off: Type.Union([Type.Object(signedOff, closed), Type.Null()], {
      description:
        'Who found the hosts ready for launches; null where nobody has said so, or launches are switched off.',
    }),
    warnings: Type.Array(Type.String(), { description: 'What keeps launches from being carried out, for a person.' }),
  },
  { ...closed, description: 'What can be had here.' },
);
export type Capabilities = Static<typeof Capabilities>;

export function environmentRoutes({ settings }: ServerContext, version: string): Route[] {
  const { exposureModes, engines, artifactPolicy, artifactChannel, registries } = environmentOf(settings);
  const known = Object.keys(adapters).map((name) => {
    const enabled = engines.includes(name);
    return { name, enabled, reason: enabled ? null : 'It is switched off in this environment.' };
  });
  const planned = plannedEngines.map((name) => ({ name, enabled: false, reason: 'It is not available yet.' }));
  return [
    route({
      ...{ method: 'GET', path: '/api/v1/environment/capabilities', tag: 'environment', allow: everybody },
      summary: 'What can be had here.',
      answer: Capabilities,
      read: async (_asked, tx) => ({
        ...(await launchingOf(tx, settings)),
        ...{ version, agent_protocol: protocolVersion, exposure_modes: [...exposureModes] },
        ...{ engines: [...known, ...planned], registries: [...registries] },
        ...{ artifact_policy: artifactPolicy, artifact_channel: artifactChannel },
      }),
    }),
  ];
}

const nobody = 'Launches are switched on, and no node has an agent that carries them out.';

async function launchingOf(tx: ReadTx, { launchEnabled, environment }: ServerContext['settings']) {
  const signOff = launchEnabled ? await latestSignOff(tx, environment) : undefined;
  const hasNobody = launchEnabled && !(await somebodyLaunches(tx));
  return {
    launch_sign_off: signOff ? shown(signOff) : null,
    warnings: hasNobody ? [nobody] : [],
  };
}

function shown({ text, version, created_at }: SignOff) {
  return { text, version, created_at };
}
