/** `…/launch-options`: what a launch form can offer for a version, in one answer. */

import { type Static, Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { Gpu } from '../../contract/gpus.ts';
import { identifierPattern } from '../../contract/identifiers.ts';
import type { ServerContext } from '../context.ts';
import { Allocation, Shape } from '../db/entities/allocation.ts';
import { Artifact, channels } from '../db/entities/artifact.ts';
import { AppVersion } from '../db/entities/catalog.ts';
import { AccessCredential, ServiceAccount } from '../db/entities/credential.ts';
import { closed, nullable } from '../db/entities/fields.ts';
import type { ReadTx } from '../db/store.ts';
import { everybody, found, projectAsked } from '../http/access.ts';
import { type Route, route } from '../http/route.ts';
import {
  artifactOptions,
  type OptionFacts,
  placeOption,
  portOptions,
  unavailableChoices,
} from '../instances/launch-options.ts';
import { environmentOf } from '../launch/environment.ts';
import { loadApp, loadPlaces, type Place } from '../launch/load-facts.ts';
import { versionFor } from './visible-version.ts';

const Amounts = Type.Object(
  {
    gpu_count: Type.Integer({ minimum: 0, description: 'Cards.' }),
    cpu_cores: Type.Number({ minimum: 0, description: 'Cores.' }),
    memory_gib: Type.Number({ minimum: 0, description: 'Memory in GiB.' }),
  },
  { ...closed, description: 'Amounts.' },
);

const AllocationOption = Type.Object(
  {
    ...{ id: Allocation.properties.id, name: Allocation.properties.name },
    eligible: Type.Boolean({ description: 'True if the app could be launched there with the least that it needs.' }),
    reasons: Type.Array(Type.String(), { description: 'Why not, one sentence each; empty if it could.' }),
    node: nullable(
      Type.Object(
        {
          id: Type.String({ description: 'The node.' }),
          name: Type.String({ description: 'Name of the host.' }),
          connected: Type.Boolean({ description: 'True while it has a session.' }),
        },
        { ...closed, description: 'The host.' },
      ),
      'Its host; null until one has enrolled.',
    ),
    cards: Type.Array(
      Type.Object(
        {
          vendor: Gpu.properties.vendor,
          name: Type.String({ description: 'Product name.' }),
          free: Type.Boolean({ description: 'True if it is well and nobody has it.' }),
        },
        { ...closed, description: 'A card.' },
      ),
      { description: 'Cards of its host, as it last said.' },
    ),
    total: { ...Shape, description: 'What it has in all.' },
    free: nullable(Amounts, 'What nobody has, of the allocation and of its host; null while the host is not known.'),
    project_storage: Allocation.properties.project_storage,
  },
  { ...closed, description: 'An allocation of the project.' },
);

const { id, name, repository, digest, platform_digest, lifecycle, trust, size_bytes } = Artifact.properties;
const ArtifactOption = Type.Object(
  {
    ...{ id, name, repository, digest, platform_digest, lifecycle, trust, size_bytes },
    image: Type.String({ description: 'What the manifest calls it, for example `primary_image`.' }),
    channels: Type.Array(Type.Enum([...channels], { description: 'Channel.' }), {
      description: 'Channels that it was promoted to.',
    }),
    preferred: Type.Boolean({ description: 'True for the one that a form chooses first.' }),
  },
  { ...closed, description: 'An image.' },
);

const CredentialOption = Type.Object(
  {
    ...{ id: AccessCredential.properties.id, name: AccessCredential.properties.name },
    kind: AccessCredential.properties.kind,
  },
  { ...closed, description: 'A credential that the project keeps.' },
);
const AccountOption = Type.Object(
  {
    ...{ id: ServiceAccount.properties.id, name: ServiceAccount.properties.name },
    role: ServiceAccount.properties.role,
  },
  { ...closed, description: 'A service account of the project.' },
);

const LaunchOptions = Type.Object(
  {
    allocations: Type.Array(AllocationOption, { description: 'Living allocations of the project, newest first.' }),
    artifacts: Type.Array(ArtifactOption, {
      description: 'Images for the chosen allocation and cards, newest first; all of the app while none is chosen.',
    }),
    artifact_reason: nullable(Type.String(), 'Why there is no image; null where there is one.'),
    access_credentials: Type.Array(CredentialOption, { description: 'By name; never with a value.' }),
    service_accounts: Type.Array(AccountOption, { description: 'By name.' }),
    unavailable: Type.Array(
      Type.Object(
        {
          pointer: Type.String({ description: 'JSON pointer into a launch request.' }),
          value: Type.Union([Type.String(), Type.Number()], { description: 'The choice.' }),
          reason: Type.String({ description: 'Why a launch with it would be refused.' }),
        },
        { ...closed, description: 'A choice that cannot be had.' },
      ),
      { description: 'Choices of parameters that cannot be had on the chosen allocation.' },
    ),
    host_ports: Type.Object(
      {
        taken: Type.Array(Type.Integer(), { description: 'Ports that instances of the allocation have, ascending.' }),
        suggested: Type.Record(Type.String(), Type.Integer(), {
          description: 'A free port for each endpoint whose port can be chosen, by pointer into a launch request.',
        }),
      },
      { ...closed, description: 'Ports on the host of the chosen allocation.' },
    ),
  },
  { ...closed, description: 'What a launch form can offer.' },
);
export type LaunchOptions = Static<typeof LaunchOptions>;

const slug = Type.String({ pattern: identifierPattern, description: 'The app.' });
const identifier = (description: string) => Type.Optional(Type.String({ pattern: identifierPattern, description }));

export function launchOptionsRoute({ settings, hub }: Pick<ServerContext, 'settings' | 'hub'>): Route {
  const environment = environmentOf(settings);
  return route({
    ...{ method: 'GET', path: '/api/v1/catalog/apps/{slug}/versions/{version}/launch-options', tag: 'catalog' },
    summary: 'What a launch of the version could choose from, and why not the rest.',
    allow: everybody,
    params: Type.Object({ slug, version: AppVersion.properties.version }, closed),
    query: Type.Object(
      {
        project_id: identifier('Project that would launch it; for callers that belong to none.'),
        allocation_id: identifier('The chosen allocation.'),
        gpu_count: Type.Optional(Type.Integer({ minimum: 0, maximum: 64, description: 'Chosen number of cards.' })),
      },
      closed,
    ),
    answer: LaunchOptions,
    read: async ({ who, params, query, now }, tx): Promise<LaunchOptions> => {
      const projectId = projectAsked(who, query.project_id);
      const asked = { app_slug: params.slug, app_version: params.version };
      await versionFor(tx, who, params);
      const { profile, version, ...app } = await loadApp(tx, asked, projectId, environment);
      if (!app.isEntitled) throw new AgentError('launch.not_entitled');
      const facts: OptionFacts = {
        ...app,
        ...{ version: found('version', params.version, version), profile: found('version', params.version, profile) },
      };
      const places = await loadPlaces(tx, projectId);
      const { allocation_id: wanted, gpu_count: gpuCount } = query;
      const chosen = places.find(({ allocation }) => allocation?.id === wanted);
      const choice = { place: wanted === undefined ? undefined : found('allocation', wanted, chosen), gpuCount };
      return {
        allocations: places.map((place) => ({
          ...placeOption(facts, place, choice, now),
          node: nodeOf(place, (nodeId) => hub.isConnected(nodeId)),
        })),
        ...artifactOptions(facts, choice),
        ...(await loadPicks(tx, projectId)),
        unavailable: unavailableChoices(facts, choice),
        host_ports: portOptions(facts, choice),
      };
    },
  });
}

/** What the project keeps, by name; never with a value. */
async function loadPicks(tx: ReadTx, projectId: string) {
  const where = { project_id: projectId };
  const credentials = await tx.access_credentials.list({ where });
  const accounts = await tx.service_accounts.list({ where });
  return {
    access_credentials: credentials.map(({ id, name, kind }) => ({ id, name, kind })).toSorted(byName),
    service_accounts: accounts.map(({ id, name, role }) => ({ id, name, role })).toSorted(byName),
  };
}

function byName(one: { readonly name: string }, other: { readonly name: string }): number {
  return one.name < other.name ? -1 : 1;
}

function nodeOf({ node }: Place, isConnected: (nodeId: string) => boolean) {
  return node ? { id: node.id, name: node.name, connected: isConnected(node.id) } : null;
}
