/** `/api/v1/environment/capabilities`: what can be had here, for forms that would otherwise offer it in vain. */
import { Type } from 'typebox';
import { protocolVersion } from '../../contract/protocol.ts';
import { adapters, plannedEngines } from '../adapters/index.ts';
import type { ServerContext } from '../context.ts';
import { channels } from '../db/entities/artifact.ts';
import { closed } from '../db/entities/fields.ts';
import { everybody } from '../http/access.ts';
import { type Route, route } from '../http/route.ts';
import { environmentOf } from '../launch/environment.ts';

const Engine = Type.Object(
  {
    name: Type.String({ description: 'Execution engine, as manifests name it.' }),
    enabled: Type.Boolean({ description: 'True if launches may use it.' }),
    reason: Type.Union([Type.String(), Type.Null()], { description: 'Why not; null if they may.' }),
  },
  { ...closed, description: 'An execution engine.' },
);

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
  },
  { ...closed, description: 'What can be had here.' },
);

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
      read: async () => ({
        ...{ version, agent_protocol: protocolVersion, exposure_modes: [...exposureModes] },
        ...{ engines: [...known, ...planned], registries: [...registries] },
        ...{ artifact_policy: artifactPolicy, artifact_channel: artifactChannel },
      }),
    }),
  ];
}
