/** The shape of the data that an op asks for. */
import { type Static, Type } from 'typebox';
import { byKey, byType } from '../by-type.ts';
import { mountPath } from './paths.ts';
import { closed, removeIfEmpty, SpreadMarker, Text } from './schema-parts.ts';

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
export const ResourceEntry = byType(
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

/** The data that is asked for, each with its place in the list: markers are none. */
export function resourcesOf({
  resources = [],
}: {
  readonly resources?: readonly Static<typeof ResourceEntry>[];
}): readonly { readonly resource: Resource; readonly index: number }[] {
  return resources.flatMap((resource, index) =>
    typeof resource === 'string' || '__spread__' in resource ? [] : [{ resource, index }],
  );
}

const ollamaFolder = '/root/.ollama/models';

/** Where it is mounted. */
export function targetOf({ target = ollamaFolder }: Resource): string {
  return mountPath(target);
}
