/**
 * What a launch asks for: typed values and nothing that an engine could be told with. There is no key for an image, a host
 * path, a privilege or a document of an engine, and unknown keys are refused.
 */
import { type Static, Type } from 'typebox';
import { identifierPattern } from '../../contract/identifiers.ts';
import { namePattern } from '../../contract/name-pattern.ts';
import { parameterNamePattern } from '../../manifests/gpuaas/parameter-schema.ts';

const closed = { additionalProperties: false } as const;
const uuidPattern = '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';

export const LaunchRequest = Type.Object(
  {
    app_slug: Type.String({ pattern: identifierPattern, description: 'App, for example `jupyterlab`.' }),
    app_version: Type.String({
      pattern: '^[a-zA-Z0-9][a-zA-Z0-9._+-]{0,63}$',
      description: 'Version of the app, for example `2026.04-preview`.',
    }),
    display_name: Type.String({
      minLength: 1,
      maxLength: 128,
      pattern: namePattern,
      description: 'Name for people. Never used as a name on the host.',
    }),
    placement_intent: Type.Optional(
      Type.Object(
        {
          target_allocation_id: Type.Optional(
            Type.String({ pattern: uuidPattern, description: 'The allocation to run on: a UUID.' }),
          ),
        },
        { ...closed, description: 'Where it shall run.' },
      ),
    ),
    artifact_id: Type.Optional(
      Type.String({
        pattern: identifierPattern,
        description: 'The image. May be left out where exactly one artifact fits.',
      }),
    ),
    config: Type.Optional(
      Type.Record(
        Type.String({ pattern: parameterNamePattern }),
        Type.Union([Type.String({ maxLength: 32_768 }), Type.Number(), Type.Boolean()]),
        {
          maxProperties: 128,
          additionalProperties: false,
          description: 'Values of the parameters of the app. What is left out has its default.',
        },
      ),
    ),
    resource_overrides: Type.Optional(
      Type.Object(
        {
          gpu_count: Type.Optional(Type.Integer({ description: 'Cards.' })),
          cpu_cores: Type.Optional(Type.Number({ description: 'Cores.' })),
          memory_gib: Type.Optional(Type.Number({ description: 'Memory in GiB.' })),
        },
        { ...closed, description: 'Amounts that win over `config` and over the defaults of the app.' },
      ),
    ),
    secrets: Type.Optional(
      Type.Record(
        Type.String({ pattern: parameterNamePattern }),
        Type.Union([
          Type.String({ minLength: 1, maxLength: 4096, pattern: '^[\\u0021-\\u007e]*$' }),
          Type.Object(
            {
              credential_id: Type.String({
                pattern: identifierPattern,
                description: 'A token that the project keeps.',
              }),
            },
            { ...closed, description: 'Instead of the secret itself: the access credential that has it.' },
          ),
        ]),
        {
          maxProperties: 16,
          additionalProperties: false,
          description:
            'Secrets that the app declares, by name. Sealed for the host at once, and never kept or shown again.',
        },
      ),
    ),
    access_credential_id: Type.Optional(
      Type.String({ pattern: identifierPattern, description: 'Credential of the project, for apps that ask for one.' }),
    ),
    service_account_id: Type.Optional(
      Type.String({ pattern: identifierPattern, description: 'Account that it acts as, for apps that ask for one.' }),
    ),
    project_id: Type.Optional(
      Type.String({ pattern: identifierPattern, description: 'Only for callers that belong to no project.' }),
    ),
  },
  { ...closed, description: 'Launches an app on an allocation of the project.' },
);
export type LaunchRequest = Static<typeof LaunchRequest>;
