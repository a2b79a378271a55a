/** What would come of a launch, before anybody asks for it: everything against it, what to know of it, and what it would be. */
import { type Static, Type } from 'typebox';
import { exposureModes } from '../../manifests/gpuaas/profile.ts';
import { Allocation } from '../db/entities/allocation.ts';
import { AppInstance } from '../db/entities/app-instance.ts';
import { Artifact } from '../db/entities/artifact.ts';
import type { ReadTx } from '../db/store.ts';
import { ListedError } from '../http/errors.ts';
import { exposureOf, runningDigest, storageOf } from '../launch/adapter-input.ts';
import type { LaunchEnvironment } from '../launch/environment.ts';
import { loadFacts } from '../launch/load-facts.ts';
import { warningCodes, warningsOf } from '../launch/warnings.ts';
import { Folder } from './instance-about.ts';
import { type Admitted, judgeFacts, type LaunchAsked } from './judge-launch.ts';

const closed = { additionalProperties: false } as const;
const named = (properties: { id: Type.TString; name: Type.TString }, description: string) =>
  Type.Object(properties, { ...closed, description });

const Review = Type.Object(
  {
    app: Type.Object(
      {
        slug: AppInstance.properties.app_slug,
        version: AppInstance.properties.app_version,
        name: Type.String({ description: 'Name for people.' }),
        support_level: Type.String({ description: 'Who stands for it.' }),
        engine: AppInstance.properties.engine,
      },
      { ...closed, description: 'What would run.' },
    ),
    display_name: AppInstance.properties.display_name,
    allocation: named({ id: Allocation.properties.id, name: Allocation.properties.name }, 'Where it would run.'),
    node: named(
      {
        id: Type.String({ description: 'The node.' }),
        name: Type.String({ description: 'Name of the host.' }),
      },
      'Its host.',
    ),
    artifact: Type.Object(
      {
        id: Artifact.properties.id,
        name: Artifact.properties.name,
        repository: Artifact.properties.repository,
        digest: Artifact.properties.digest,
        running_digest: { ...AppInstance.properties.image_digest, description: 'Digest of what would run of it.' },
        lifecycle: Artifact.properties.lifecycle,
        trust: Artifact.properties.trust,
      },
      { ...closed, description: 'The image; the only one that fits, where none was named.' },
    ),
    resources: AppInstance.properties.resources,
    mounts: Type.Array(Folder, { description: 'Folders that it would have.' }),
    exposure: Type.Array(
      Type.Object(
        {
          endpoint: Type.String({ description: 'Name of the endpoint.' }),
          mode: Type.Enum([...exposureModes], { description: 'How it is reached.' }),
          protocol: Type.String({ description: 'What is spoken there.' }),
          container_port: Type.Integer({ description: 'Port inside the container.' }),
          host_port: Type.Integer({ description: 'Port on the loopback address of the host.' }),
          generated_token: Type.Boolean({
            description: 'True if it is opened by a token that is made with the launch.',
          }),
        },
        { ...closed, description: 'An endpoint.' },
      ),
      { description: 'Where it would answer.' },
    ),
    parameters: { ...AppInstance.properties.config, description: 'Every parameter, defaults filled in.' },
    secrets: Type.Array(Type.String(), { description: 'Names of the secrets that the launch brings.' }),
  },
  { ...closed, description: 'All that was decided for the launch.' },
);
type Review = Static<typeof Review>;

export const Preview = Type.Object(
  {
    accepted: Type.Boolean({ description: 'True if a launch like this would be accepted now.' }),
    refusals: Type.Array(ListedError, { description: 'Every reason against it, in the order of the checks.' }),
    warnings: Type.Array(
      Type.Object(
        {
          code: Type.Enum([...warningCodes], { description: 'What sort of thing.' }),
          path: Type.String({ description: 'JSON pointer into the request.' }),
          message: Type.String({ description: 'What to know.' }),
        },
        { ...closed, description: 'What it costs, or what of it stays.' },
      ),
      { description: 'What to know before it is launched; none of it is in the way.' },
    ),
    review: Type.Union([Review, Type.Null()], { description: 'What it would be; null where it would be refused.' }),
  },
  { ...closed, description: 'What would come of a launch.' },
);
export type Preview = Static<typeof Preview>;

export async function previewLaunch(
  tx: ReadTx,
  environment: LaunchEnvironment,
  { request, projectId, now }: LaunchAsked,
): Promise<Preview> {
  const facts = await loadFacts(tx, request, projectId, environment);
  const judged = judgeFacts(facts, now);
  return {
    accepted: judged.ok,
    refusals: judged.ok ? [] : judged.refusals.map((each) => ({ ...each })),
    warnings: warningsOf(facts).map((each) => ({ ...each })),
    review: judged.ok ? reviewOf(judged) : null,
  };
}

function reviewOf({ launch, node }: Admitted): Review {
  const { request, allocation, artifact, profile, values } = launch;
  const { id, name, repository, digest, lifecycle, trust } = artifact;
  return {
    app: {
      ...{ slug: request.app_slug, version: request.app_version, name: profile.profile.display_name },
      ...{ support_level: profile.profile.support_level, engine: profile.execution.default_engine },
    },
    display_name: request.display_name,
    allocation: { id: allocation.id, name: allocation.name },
    node: { id: node.id, name: node.name },
    artifact: { id, name, repository, digest, running_digest: runningDigest(artifact), lifecycle, trust },
    resources: values.resources,
    mounts: storageOf(profile, values).map((each) => ({ ...each })),
    exposure: exposureOf(profile, values).map(({ token, ...each }) => ({ ...each, generated_token: token !== null })),
    parameters: { ...values.parameters },
    secrets: Object.keys(request.secrets ?? {}),
  };
}
