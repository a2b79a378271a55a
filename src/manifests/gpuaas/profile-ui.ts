/**
 * How a profile wishes its launch form to look: order, groups, and the wizard, which wins where there is one.
 *
 * The platform owns the components that begin with `platform.`; the profile owns titles, descriptions, order, and which of
 * its parameters stand where.
 */
import { type Static, Type } from 'typebox';
import { parameterNamePattern } from './parameter-schema.ts';

const closed = { additionalProperties: false } as const;
const stepId = (description: string) => Type.String({ pattern: '^[a-z][a-z0-9_-]{0,63}$', description });
const parameter = Type.String({ pattern: parameterNamePattern, description: 'A declared parameter.' });
const title = Type.String({ minLength: 1, maxLength: 128, description: 'Heading.' });

/** Components that only the platform can draw, with the part of the launch request that each fills. */
export const platformComponents = [
  'platform.target_allocation',
  'platform.artifact_selector',
  'platform.access_credential',
  'platform.operator_service_account',
  'platform.review',
] as const;
export type PlatformComponent = (typeof platformComponents)[number];

const Component = Type.Object(
  {
    kind: Type.Enum([...platformComponents, 'field', 'secret'], {
      description: '`field` shows a parameter, `secret` asks for a secret; the rest are drawn by the platform.',
    }),
    name: Type.Optional({ ...parameter, description: 'The parameter of a `field`, or the name of a `secret`.' }),
    required: Type.Optional(
      Type.Boolean({
        description:
          'True: the step cannot be left without a value. True if absent, but for a `secret`, which nobody must bring.',
      }),
    ),
  },
  { ...closed, description: 'One thing to fill in or to look at.' },
);

const Step = Type.Object(
  {
    id: stepId('Name of the step, unique in the wizard.'),
    title,
    description: Type.Optional(Type.String({ maxLength: 1024, description: 'Text below the heading.' })),
    components: Type.Array(Component, {
      minItems: 1,
      maxItems: 64,
      description: 'What the step shows, in this order.',
    }),
  },
  { ...closed, description: 'One page of the wizard.' },
);

const Group = Type.Object(
  {
    id: stepId('Name of the group, unique in the form.'),
    title,
    fields: Type.Array(parameter, { minItems: 1, maxItems: 128, description: 'Its parameters, in this order.' }),
  },
  { ...closed, description: 'Parameters that belong together.' },
);

export const ProfileUi = Type.Object(
  {
    order: Type.Optional(
      Type.Array(parameter, { maxItems: 128, description: 'Order of the parameters; those left out follow.' }),
    ),
    groups: Type.Optional(Type.Array(Group, { maxItems: 64, description: 'Groups; used where there is no wizard.' })),
    launch_wizard: Type.Optional(
      Type.Object(
        { steps: Type.Array(Step, { minItems: 1, maxItems: 32, description: 'Pages, in this order.' }) },
        { ...closed, description: 'The launch form as pages. What it says wins over order and groups.' },
      ),
    ),
  },
  { ...closed, description: 'Wishes about the launch form.' },
);
export type ProfileUi = Static<typeof ProfileUi>;
