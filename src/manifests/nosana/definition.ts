/**
 * The shape of a Nosana job definition, as its authors write them today: what the published types know and what their node
 * accepts beside that. Keys that are not here are refused. What no shape can say is in `check-definition.ts`.
 */
import { type Static, Type } from 'typebox';
import { identifierPattern } from '../../contract/identifiers.ts';
import { byType } from '../by-type.ts';
import { Expose } from './expose.ts';
import { ResourceEntry } from './resources.ts';
import { closed, named, Text } from './schema-parts.ts';

const Words = (description: string) =>
  byType(
    {
      string: Text('A whole command line.'),
      array: Type.Array(Text('One argument, or `__remove-if-empty__`.'), {
        maxItems: 1024,
        description: 'Arguments, one an entry.',
      }),
    },
    description,
  );

const image = Text('Image, best with registry and digest.', { maxLength: 512 });
const shared = {
  gpu: Type.Optional(Type.Boolean({ description: 'True if a card is needed.' })),
  entrypoint: Type.Optional(Words("Replaces the image's ENTRYPOINT.")),
  env: Type.Optional(named(Text('Value of the variable.'), 'Environment.')),
  work_dir: Type.Optional(Text('Folder to begin in.', { maxLength: 512 })),
};

const RunArgs = Type.Object(
  {
    image: Type.Optional(image),
    cmd: Type.Optional(Words("Replaces the image's CMD.")),
    ...shared,
    aliases: Type.Optional(
      byType(
        {
          string: Text('Host names, separated by commas.'),
          array: Type.Array(Text('A host name.'), { maxItems: 16, description: 'Host names.' }),
        },
        'Names by which other ops reach this one.',
      ),
    ),
    volumes: Type.Optional(
      Type.Array(
        Type.Object(
          { name: Text('Name of the volume.'), dest: Text('Absolute path in the container.', { maxLength: 512 }) },
          { ...closed, description: 'A volume in the container.' },
        ),
        { maxItems: 32, description: 'Volumes of the job that the op sees.' },
      ),
    ),
    expose: Type.Optional(Expose),
    private: Type.Optional(Type.Boolean({ description: 'Noted only: nothing is public here.' })),
    required_vram: Type.Optional(Type.Number({ minimum: 0, description: 'Memory of a card, in GB.' })),
    output: Type.Optional(Text('Folder whose content is kept as an artifact.', { maxLength: 512 })),
    resources: Type.Optional(
      Type.Array(ResourceEntry, { maxItems: 64, description: 'Data that is fetched before the op starts.' }),
    ),
    authentication: Type.Optional(
      Type.Object(
        {
          docker: Type.Optional(
            Type.Object(
              {
                username: Type.Optional(Text('Name of the account.')),
                password: Type.Optional(Text('Its password.')),
                email: Type.Optional(Text('Ignored.')),
                server: Type.Optional(Text('Registry; that of the image if absent.')),
              },
              { ...closed, description: 'An account at a registry.' },
            ),
          ),
        },
        { ...closed, description: 'Credentials for the pull of the image.' },
      ),
    ),
    restart_policy: Type.Optional(
      byType(
        {
          string: Type.Enum(['no', 'always', 'unless-stopped', 'on-failure'], {
            description: 'When it is started again.',
          }),
          object: Type.Object(
            {
              policy: Type.Literal('on-failure', { description: 'When it did not end with 0.' }),
              restart_tries: Type.Optional(Type.Integer({ minimum: 0, maximum: 100, description: 'Most restarts.' })),
            },
            { ...closed, description: 'When it is started again, and how often.' },
          ),
        },
        'When an op that ended is started again.',
      ),
    ),
  },
  { ...closed, description: 'What is run, and how.' },
);
export type RunArgs = Static<typeof RunArgs>;

const VolumeArgs = Type.Object(
  { name: Text('Name of the volume.', { pattern: identifierPattern }) },
  { ...closed, description: 'The volume that is made.' },
);

const resultRegex = Text('Matched against each line of the log.', { minLength: 1, maxLength: 1024 });
const common = {
  id: Text('Name of the op within its job.', { maxLength: 64 }),
  results: Type.Optional(
    named(
      byType(
        {
          string: resultRegex,
          object: Type.Object(
            {
              regex: resultRegex,
              logType: Type.Array(
                Type.Enum(['stdin', 'stdout', 'stderr', 'nodeerr'], { description: 'A stream of the log.' }),
                { minItems: 1, maxItems: 4, uniqueItems: true, description: 'Where lines are looked at.' },
              ),
            },
            { ...closed, description: 'An expression, and where it is looked for.' },
          ),
        },
        'What is read out of the log.',
      ),
      'What is read out of the log, by name.',
    ),
  ),
  execution: Type.Optional(
    Type.Object(
      {
        group: Type.Optional(Text('Ops of one group run side by side.', { minLength: 1, maxLength: 128 })),
        timeout: Type.Optional(
          Type.Integer({ minimum: 1, maximum: 2_592_000, description: 'Most seconds that the container runs.' }),
        ),
        depends_on: Type.Optional(
          Type.Array(Text('Id of an op.'), {
            maxItems: 64,
            uniqueItems: true,
            description: 'Ops that have to be ready.',
          }),
        ),
        stop_if_dependent_stops: Type.Optional(
          Type.Boolean({
            description: 'True if it serves the ops it depends on: it starts first and stops with them.',
          }),
        ),
      },
      { ...closed, description: 'When it runs.' },
    ),
  ),
};

export const RunOp = Type.Object(
  { type: Type.Literal('container/run', { description: 'Runs a container.' }), ...common, args: RunArgs },
  { ...closed, description: 'A container that is run.' },
);
export type RunOp = Static<typeof RunOp>;
export const VolumeOp = Type.Object(
  { type: Type.Literal('container/create-volume', { description: 'Makes a volume.' }), ...common, args: VolumeArgs },
  { ...closed, description: 'A volume that is made.' },
);
export type Op = RunOp | Static<typeof VolumeOp>;

const scalar = ['string', 'number'] as const;
const Meta = Type.Unsafe<Meta>({
  type: 'object',
  properties: {
    trigger: Text('Where the job came from; kept as a label.', { maxLength: 128 }),
    system_resources: {
      type: 'object',
      additionalProperties: { type: scalar },
      description: 'Constraints of the host.',
    },
    system_requirements: {
      ...{ type: 'object', additionalProperties: { type: scalar } },
      description: 'The same by its other name.',
    },
  },
  additionalProperties: {
    type: [...scalar, 'array', 'object'],
    items: { type: scalar },
    additionalProperties: { type: [...scalar, 'array'], items: { type: scalar } },
  },
  description: 'What is said about the job.',
});
export interface Meta {
  readonly trigger?: string;
  readonly system_resources?: Readonly<Record<string, string | number>>;
  readonly system_requirements?: Readonly<Record<string, string | number>>;
  readonly [key: string]: unknown;
}

const Logistic = Type.Object(
  {
    type: Type.Enum(['api', 'api-listen'], { description: 'How it travels on the other network.' }),
    args: Type.Object(
      { endpoint: Type.Optional(Text('Where.')) },
      { ...closed, description: 'Where it travels on the other network.' },
    ),
  },
  { ...closed, description: 'Ignored: definitions and results travel as those of every job here.' },
);

export const JobDefinition = Type.Object(
  {
    version: Type.Literal('0.1', { description: 'Version of the format, as text.' }),
    type: Type.Literal('container', { description: 'How ops run.' }),
    ops: Type.Array(
      Type.Unsafe<Op>({
        type: 'object',
        discriminator: { propertyName: 'type' },
        oneOf: [RunOp, VolumeOp],
        description: 'One operation.',
      }),
      { minItems: 1, maxItems: 128, description: 'What is done, in this order.' },
    ),
    deployment_id: Type.Optional(Text('Deployment that the job belongs to on the other network.')),
    ssh: Type.Optional(
      Type.Object(
        { public_keys: Type.Array(Text('A public key.'), { maxItems: 32, description: 'Keys.' }) },
        { ...closed, description: 'Refused when the job is submitted: nobody logs in to a host here.' },
      ),
    ),
    logistics: Type.Optional(
      Type.Object({ send: Logistic, receive: Logistic }, { ...closed, description: 'Ignored, and warned about.' }),
    ),
    meta: Type.Optional(Meta),
    global: Type.Optional(
      Type.Object(
        {
          image: Type.Optional(image),
          ...shared,
          variables: Type.Optional(named(Text('Value of the variable.'), 'Values for literals, by name.')),
        },
        { ...closed, description: 'What holds for every op that does not say otherwise.' },
      ),
    ),
  },
  { ...closed, description: 'A Nosana job definition.' },
);
export type JobDefinition = Static<typeof JobDefinition>;
