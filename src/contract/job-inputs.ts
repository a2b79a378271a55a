/** What a job fetches before it runs, and where that goes. */
import { type Static, Type } from 'typebox';
import { identifierPattern } from './identifiers.ts';
import { KeptOutput } from './job-outputs.ts';
import { TextValue } from './job-values.ts';
import { taggedUnion } from './tagged-union.ts';
import { SealedValue } from './workload-oci-launch.ts';

const closed = { additionalProperties: false } as const;

const Files = Type.Array(
  { ...TextValue, description: 'Path of a file, or of a folder ending in `/`.' },
  {
    maxItems: 1024,
    description: 'What of it is fetched; all of it where the list is empty.',
  },
);

/** Bytes of a file that is in a plan. */
export const maxInlineBytes = 256 * 1024;

/** What a revision of a repository was when it was fetched. */
export const InputCommit = Type.String({ pattern: '^[0-9a-f]{40}$', description: 'Commit of a repository, in hex.' });

const InputSource = taggedUnion(
  'kind',
  [
    Type.Object(
      {
        kind: Type.Literal('huggingface', { description: 'A repository of models on a Hugging Face hub.' }),
        repo: { ...TextValue, description: '`owner/name`.' },
        revision: { ...TextValue, description: 'Branch, tag or commit.' },
        files: Files,
      },
      { ...closed, description: 'Files of a model.' },
    ),
    Type.Object(
      {
        kind: Type.Literal('s3', { description: 'Objects in a bucket that speaks S3.' }),
        url: { ...TextValue, description: 'https URL of the bucket, or of a prefix or an object in it.' },
        region: { ...TextValue, description: 'Region that requests are signed for.' },
        files: Files,
      },
      { ...closed, description: 'Objects of a bucket.' },
    ),
    Type.Object(
      {
        kind: Type.Literal('http', { description: 'One file of a web server.' }),
        url: { ...TextValue, description: 'https URL of the file.' },
        sha256: Type.Optional(
          Type.String({
            pattern: '^[0-9a-f]{64}$',
            description: 'sha256 of the file, in hex; another one is refused.',
          }),
        ),
      },
      { ...closed, description: 'A file.' },
    ),
    Type.Object(
      {
        kind: Type.Literal('ollama', { description: 'A model of an Ollama registry.' }),
        model: { ...TextValue, description: '`name:tag`, with or without a registry.' },
      },
      { ...closed, description: 'A model as Ollama keeps it.' },
    ),
    Type.Object(
      {
        kind: Type.Literal('inline', { description: 'A small file that is in the plan itself.' }),
        file_name: Type.String({
          pattern: '^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$',
          description: 'Name of the file in the volume.',
        }),
        text: Type.String({ maxLength: maxInlineBytes, description: 'What is in it: at most 256 KiB as UTF-8.' }),
      },
      { ...closed, description: 'A file that nothing is asked for.' },
    ),
    Type.Object(
      {
        kind: Type.Literal('output', { description: 'What was kept of a job, as the control plane has it.' }),
        job_id: Type.String({ pattern: identifierPattern, description: 'Job that it was kept of.' }),
        name: KeptOutput.properties.name,
        sha256: KeptOutput.properties.sha256,
        bytes: KeptOutput.properties.bytes,
        path: Type.String({
          maxLength: 512,
          pattern: '^[^/\\u0000][^\\u0000]*$',
          description: 'Where it goes in the volume: the path that it was taken from.',
        }),
        media_type: Type.Enum(['application/octet-stream', 'application/x-tar'], {
          description: 'A file, or a folder as one archive.',
        }),
      },
      { ...closed, description: 'An output of a job.' },
    ),
  ],
  'Where the data comes from.',
);

export const JobInput = Type.Object(
  {
    id: Type.String({ pattern: identifierPattern, description: 'Name of the input within the plan.' }),
    source: InputSource,
    volume: Type.String({ pattern: identifierPattern, description: 'Volume of the job that it is put into.' }),
    required: Type.Boolean({ description: 'True if what needs it fails without it.' }),
    cache_seconds: Type.Integer({
      minimum: 0,
      maximum: 2_592_000,
      description: 'How long the host may keep it for others who may fetch the same; 0 for not at all.',
    }),
    credential: Type.Optional({
      ...SealedValue,
      description:
        'Compact JWE for this node: `{access_token}` for huggingface, `{access_key_id, secret_access_key}` for s3, and `{query}` for s3 and http: what a signed link has behind its `?`. In memory only.',
    }),
  },
  { ...closed, description: 'Data that is fetched before the steps that need it start.' },
);
export type JobInput = Static<typeof JobInput>;
