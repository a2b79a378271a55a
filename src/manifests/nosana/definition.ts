/**
 * The shape of a Nosana job definition, as its authors write them today: what the published types know and what their node
 * accepts beside that. Keys that are not here are refused. What no shape can say is in `check-definition.ts`.
 */
import { type Static, type TSchema, Type } from 'typebox';
import { identifierPattern } from '../../contract/identifiers.ts';
import { byKey, byType } from '../by-type.ts';

const closed = { additionalProperties: false } as const;

/** `%%ops.ID.results.NAME%%` and the like; see `literals.ts`. */
const exactLiteral = '^%%(ops|globals?)\\.[^%]+%%$';
export const removeIfEmpty = '__remove-if-empty__';

const Text = (description: string, more: { maxLength?: number; pattern?: string; minLength?: number } = {}) =>
  Type.String({ maxLength: 32_768, ...more, description });
/** `__proto__` would be a fine name, but not a fine key of an object. */
const named = <S extends TSchema>(value: S, description: string) =>
  Type.Record(Type.String({ pattern: '^(?!__proto__$)[^\\u0000]{1,256}$' }), value, {
    maxProperties: 512,
    additionalProperties: false,
    description,
  });

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

const SpreadMarker = Type.Object(
  {
    __spread__: Text('A literal that stands for a JSON list.', { pattern: exactLiteral }),
    chunked: Type.Optional(Type.Boolean({ description: 'True where the list comes in pieces of JSON.' })),
  },
  { ...closed, description: 'Entries that are known only while the job runs.' },
);

const HealthCheck = Type.Unsafe<HealthCheck>({
  type: 'object',
  discriminator: { propertyName: 'type' },
  oneOf: [
    Type.Object(
      {
        type: Type.Literal('http', { description: 'An HTTP request.' }),
        path: Text('Path and query.', { maxLength: 2048, pattern: '^/' }),
        method: Type.Enum(['GET', 'POST', 'PUT', 'DELETE'], { description: 'Method of the request.' }),
        expected_status: Type.Integer({ minimum: 100, maximum: 599, description: 'The status that passes.' }),
        headers: Type.Optional(named(Text('Value of the header.'), 'Headers of the request.')),
        body: Type.Optional(Type.Unknown({ description: 'Body of the request; what is no text is sent as JSON.' })),
        continuous: Type.Optional(Type.Boolean({ description: 'True if it is asked for as long as the op runs.' })),
        restart_on_failure: Type.Optional(
          Type.Boolean({ description: 'True if a continuous check that fails restarts the op.' }),
        ),
        max_restarts: Type.Optional(Type.Integer({ minimum: 0, maximum: 100, description: 'Most such restarts.' })),
      },
      { ...closed, description: 'Passes with the expected status.' },
    ),
    Type.Object(
      {
        type: Type.Literal('websocket', { description: 'A WebSocket connection.' }),
        expected_response: Text('The text of the first message.'),
        continuous: Type.Optional(Type.Boolean({ description: 'True if it is asked for as long as the op runs.' })),
      },
      { ...closed, description: 'Passes with the expected message.' },
    ),
  ],
  description: 'How it is asked whether the op is well.',
});

export type HealthCheck =
  | {
      readonly type: 'http';
      readonly path: string;
      readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
      readonly expected_status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: unknown;
      readonly continuous?: boolean;
      readonly restart_on_failure?: boolean;
      readonly max_restarts?: number;
    }
  | { readonly type: 'websocket'; readonly expected_response: string; readonly continuous?: boolean };

const portNumber = Type.Integer({ minimum: 1, maximum: 65_535, description: 'A port.' });
/** `8000-8010`, or a literal. */
const portText = Text('A range such as `8000-8010`, or a literal.', {
  pattern: `^[0-9]{1,5}-[0-9]{1,5}$|${exactLiteral}`,
});

const ExposedPort = Type.Object(
  {
    port: byType({ integer: portNumber, string: portText }, 'The port, or a range of ports.'),
    type: Type.Optional(
      Type.Enum(['web', 'api', 'webapi', 'websocket', 'none'], { description: 'What is offered there.' }),
    ),
    health_checks: Type.Optional(
      Type.Array(HealthCheck, { maxItems: 16, description: 'All have to pass before the op is ready.' }),
    ),
  },
  { ...closed, description: 'A port with what is known of it.' },
);

const ExposeObject = byKey(
  '__spread__',
  { present: SpreadMarker, absent: ExposedPort },
  'A port with what is known of it, or entries that are known only while the job runs.',
);

const Expose = byType(
  {
    integer: portNumber,
    string: portText,
    object: ExposeObject,
    array: Type.Array(byType({ integer: portNumber, string: portText, object: ExposeObject }, 'What is exposed.'), {
      maxItems: 64,
      description: 'Everything that is exposed.',
    }),
  },
  'Ports that are exposed.',
);

const S3Credential = Type.Object(
  {
    REGION: Type.Optional(Text('Region that requests are signed for; `us-east-1` if absent.')),
    ACCESS_KEY_ID: Text('Id of the key.', { minLength: 1 }),
    SECRET_ACCESS_KEY: Text('The secret of the key.', { minLength: 1 }),
  },
  { ...closed, description: 'A key for a bucket that is not public.' },
);
const target = Text('Absolute path in the container.', { maxLength: 512 });
const files = Type.Array(Text('Path of a file.'), { maxItems: 1024, description: 'What of it is fetched.' });

const S3 = Type.Object(
  {
    type: Type.Literal('S3', { description: 'Objects of a bucket.' }),
    target,
    url: Type.Optional(Text('URL of a bucket, a prefix or an object.')),
    bucket: Type.Optional(Text('URL of a bucket, by another name.')),
    buckets: Type.Optional(
      Type.Array(
        Type.Object(
          { url: Text('URL of a bucket, a prefix or an object.'), files: Type.Optional(files) },
          { ...closed, description: 'One of several buckets.' },
        ),
        { minItems: 1, maxItems: 32, description: 'Several buckets into one place.' },
      ),
    ),
    files: Type.Optional(files),
    allowWrite: Type.Optional(Type.Boolean({ description: 'True if the op may write there.' })),
    IAM: Type.Optional(S3Credential),
  },
  { ...closed, description: 'Data in S3.' },
);
const HuggingFace = Type.Object(
  {
    type: Type.Literal('HF', { description: 'A repository on Hugging Face.' }),
    repo: Text('`owner/name`.'),
    target,
    revision: Type.Optional(Text('Branch, tag or commit; `main` if absent.')),
    files: Type.Optional(files),
    accessToken: Type.Optional(Text('Token for a repository that is not public.')),
  },
  { ...closed, description: 'A model or data of Hugging Face.' },
);
const Ollama = Type.Object(
  {
    type: Type.Literal('Ollama', { description: 'A model of an Ollama registry.' }),
    model: Text('`name:tag`.', { minLength: 1 }),
    target: Type.Optional(target),
  },
  { ...closed, description: 'A model as Ollama keeps it.' },
);

export type Resource = Static<typeof S3> | Static<typeof HuggingFace> | Static<typeof Ollama>;
const KnownResource = Type.Unsafe<Resource>({
  type: 'object',
  discriminator: { propertyName: 'type' },
  oneOf: [S3, HuggingFace, Ollama],
  description: 'Data that is fetched before the op starts.',
});
const ResourceEntry = byType(
  {
    string: Type.Literal(removeIfEmpty, {
      description: 'Nothing, and the list counts as absent if nothing else is in it.',
    }),
    object: byKey(
      '__spread__',
      { present: SpreadMarker, absent: KnownResource },
      'Data, or data that is known only while the job runs.',
    ),
  },
  'One piece of data.',
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

/** The data that is asked for, each with its place in the list: markers are none. */
export function resourcesOf({
  resources = [],
}: RunArgs): readonly { readonly resource: Resource; readonly index: number }[] {
  return resources.flatMap((resource, index) =>
    typeof resource === 'string' || '__spread__' in resource ? [] : [{ resource, index }],
  );
}

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
