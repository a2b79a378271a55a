/**
 * The shape of `computalot.project.json`. Keys that are not here are refused. What no shape can say is in `check-manifest.ts`, and
 * what only the tarball can say in `check-against-files.ts`.
 */
import { type Static, Type } from 'typebox';
import { Requirements } from './requirements.ts';

const closed = { additionalProperties: false } as const;

/** Begins and ends with a letter or a digit, so that it can be a host name and a name of the platform's can never be the same. */
const Name = (description: string, more = 46) =>
  Type.String({ pattern: `^[a-zA-Z0-9]([a-zA-Z0-9_-]{0,${more}}[a-zA-Z0-9])?$`, description });
const Label = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: 128,
    pattern: '^[^\\u0000-\\u001f\\u007f]*$',
    description: 'What people call it in events and results; the command itself if absent.',
  }),
);
const Path = (description: string) => Type.String({ minLength: 1, maxLength: 512, description });
const Command = (description: string) =>
  Type.Array(Type.String({ maxLength: 32_768, pattern: '^[^\\u0000]*$', description: 'One argument.' }), {
    minItems: 1,
    maxItems: 1024,
    description: `${description} Argument vector; no shell reads it.`,
  });
const texts = (value: { readonly maxLength: number; readonly pattern: string }, description: string) =>
  Type.Record(
    Type.String({ pattern: '^(?!__proto__$)[^\\u0000]{1,128}$' }),
    Type.String({ ...value, description: 'Value.' }),
    { maxProperties: 128, additionalProperties: false, description },
  );
/** A line of a Dockerfile. */
const plain = '^[^\\u0000-\\u001f\\u007f]*$';
const Cwd = Type.Optional(Path('Folder to begin in, relative to `runtime.workdir`; `.` if absent.'));

const InitCommand = Type.Object(
  {
    label: Label,
    command: Command('Run once while the revision is prepared on a host.'),
    cwd: Cwd,
    env: Type.Optional(
      texts(
        { maxLength: 32_768, pattern: plain },
        'Variables that this command alone gets. Never for secrets: images keep them.',
      ),
    ),
  },
  {
    ...closed,
    description: 'One command, with a root that it can write to: what it leaves becomes part of the image.',
  },
);

const Service = Type.Object(
  {
    name: Name('Name of the service: in lower case, with `-` for `_`, the host name by which tasks reach it.', 30),
    command: Command('What runs beside the task.'),
    scope: Type.Optional(
      Type.Enum(['project', 'task'], {
        description:
          '`task`, also if absent: it ends with its task. `project`: shared by the tasks of a revision on a host.',
      }),
    ),
    restart: Type.Optional(
      Type.Enum(['never', 'on_failure', 'always'], {
        description: 'When it is started again after it has ended; `never` if absent.',
      }),
    ),
    cwd: Cwd,
    env: Type.Optional(
      texts(
        { maxLength: 32_768, pattern: '^[^\\u0000]*$' },
        'Variables of the service beside the usual. Not for secrets.',
      ),
    ),
    ready_timeout_s: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        description: 'Most seconds until it is ready, or the task fails; 60 if absent.',
      }),
    ),
    healthcheck: Type.Optional(
      Type.Object(
        { command: Command('Run in the container of the service until it ends with 0; the task starts then.') },
        { ...closed, description: 'How it is asked whether it is well.' },
      ),
    ),
  },
  { ...closed, description: 'A helper that is ready before the task starts.' },
);
export type Service = Static<typeof Service>;

const Runtime = Type.Object(
  {
    kind: Type.Enum(['tarball', 'oci'], {
      description:
        '`oci`: a container of an image built from the tarball. `tarball` is known, and refused as unsupported.',
    }),
    sandbox: Type.Optional(
      Type.Literal('gvisor', {
        description:
          'Sandbox of every container of a job; not of its build and `init`. Required: nobody can go without.',
      }),
    ),
    workdir: Path('Absolute path in the container that commands begin in.'),
    init: Type.Optional(
      Type.Object(
        {
          commands: Type.Optional(
            Type.Array(InitCommand, { maxItems: 32, description: 'Run in this order; one that fails ends it.' }),
          ),
        },
        { ...closed, description: 'What is done once for a revision on a host, after the Dockerfile.' },
      ),
    ),
    services: Type.Optional(Type.Array(Service, { maxItems: 12, description: 'What runs beside each task.' })),
  },
  { ...closed, description: 'Where commands run.' },
);

const Build = Type.Object(
  {
    dockerfile: Type.Optional(Path('The Dockerfile, relative to the root of the tarball; `Dockerfile` if absent.')),
    context: Type.Optional(Path('Folder that the build sees, relative to the root of the tarball; `.` if absent.')),
    target: Type.Optional(
      Type.String({
        pattern: '^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$',
        description: 'Stage of the Dockerfile that becomes the image; its last one if absent.',
      }),
    ),
    args: Type.Optional(
      texts({ maxLength: 4096, pattern: plain }, 'Values of `ARG` by name. Never for secrets: images keep them.'),
    ),
  },
  { ...closed, description: 'How the image is built.' },
);

const Validation = Type.Object(
  {
    executables: Type.Optional(
      Type.Array(Path('Name of a program, looked for along PATH, or its path.'), {
        maxItems: 64,
        description: 'Programs that the image has to have.',
      }),
    ),
    files: Type.Optional(
      Type.Array(Path('A file, absolute or relative to `runtime.workdir`.'), {
        maxItems: 64,
        description: 'Files that the image has to have. Relative ones have to be in the tarball as well.',
      }),
    ),
    commands: Type.Optional(
      Type.Array(
        Type.Object(
          { label: Label, command: Command('Has to end with 0.') },
          { ...closed, description: 'A command as the task would run it.' },
        ),
        { maxItems: 32, description: 'Run one after another before the task.' },
      ),
    ),
  },
  { ...closed, description: 'What is checked before each task.' },
);

const CacheMount = Type.Object(
  {
    name: Name('Name of the cache, unique within the project.'),
    scope: Type.Literal('project_digest', { description: 'One for each host and revision of the project.' }),
    path: Path('Absolute path in the container. What the image has there is hidden.'),
    max_bytes: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 2 ** 50,
        description: 'Most bytes it may keep; measured when a task ends, and emptied before its next use if above.',
      }),
    ),
    class: Type.Optional(
      Type.Enum(['pip', 'cargo', 'model', 'data'], {
        description: 'What it keeps; `data` if absent. For people only.',
      }),
    ),
    seed_from_image: Type.Optional(
      Type.Boolean({ description: 'True if its first mount begins with what the image has at that path.' }),
    ),
  },
  { ...closed, description: 'A folder that tasks can write to and the next task on that host finds again.' },
);
export type CacheMount = Static<typeof CacheMount>;

const DataSource = Type.Object(
  {
    name: Name('Name of the data, unique within the project.'),
    source: Type.Literal('huggingface', { description: 'A hub of Hugging Face.' }),
    uri: Type.String({
      maxLength: 512,
      pattern: '^hf://[a-zA-Z0-9][\\w.-]*/[a-zA-Z0-9][\\w.-]*(@[a-zA-Z0-9][\\w.-]*)?$',
      description:
        '`hf://org/model-name`, or `hf://org/model-name@revision`; `main` if no revision is named. Of public models only.',
    }),
    delivery: Type.Optional(
      Type.Literal('mount', { description: 'Mounted read-only from the folder that the host manages; so if absent.' }),
    ),
    path: Path('Absolute path in the container.'),
    cache: Type.Optional(
      Name('Name of a cache mount: the host then keeps what it fetched for at most 30 days, instead of one.'),
    ),
    required: Type.Optional(
      Type.Boolean({ description: 'True, also if absent: the task fails without it. False: a warning says so.' }),
    ),
  },
  { ...closed, description: 'Data that is fetched before the task starts.' },
);
export type DataSource = Static<typeof DataSource>;

const artifact = {
  name: Name('Name of the artifact, unique among all of the project.'),
  path: Path('File or folder, relative to $COMPUTALOT_ARTIFACT_DIR.'),
};
const Artifacts = Type.Object(
  {
    upload: Type.Optional(
      Type.Array(
        Type.Object(
          {
            ...artifact,
            required: Type.Optional(Type.Boolean({ description: 'True if the task has failed without it.' })),
          },
          { ...closed, description: 'Kept when the task has ended.' },
        ),
        { maxItems: 32, description: 'What is kept.' },
      ),
    ),
    outputs: Type.Optional(
      Type.Array(
        Type.Object(
          {
            ...artifact,
            type: Type.Optional(
              Type.Literal('checkpoint', {
                description: 'Kept also while the task runs, whenever it has changed, and what a retry can begin with.',
              }),
            ),
          },
          { ...closed, description: 'A named output.' },
        ),
        { maxItems: 32, description: 'What is kept, by name.' },
      ),
    ),
  },
  { ...closed, description: 'What is kept of a task.' },
);

export const ProjectManifest = Type.Object(
  {
    version: Type.Integer({ minimum: 1, maximum: 1, description: 'Version of the format: 1.' }),
    runtime: Runtime,
    entrypoint: Type.Object(
      { command: Command('The task.') },
      { ...closed, description: 'What a task runs, in `runtime.workdir`.' },
    ),
    build: Type.Optional(Build),
    validation: Type.Optional(Validation),
    requirements: Type.Optional(Requirements),
    cache_mounts: Type.Optional(
      Type.Array(CacheMount, { maxItems: 16, description: 'What tasks can write to and keep.' }),
    ),
    data_sources: Type.Optional(Type.Array(DataSource, { maxItems: 16, description: 'What is fetched for tasks.' })),
    artifacts: Type.Optional(Artifacts),
  },
  { ...closed, description: 'The manifest of a Computalot project.' },
);
export type ProjectManifest = Static<typeof ProjectManifest>;
