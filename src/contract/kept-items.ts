/** What a host keeps of projects for their next jobs, as it is shown. */
import { type Static, Type } from 'typebox';
import { identifierPattern } from './identifiers.ts';

const closed = { additionalProperties: false } as const;
const amount = (description: string) => Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], { description });

export const KeptItem = Type.Object(
  {
    id: Type.String({ pattern: '^[0-9a-f]{24}$', description: 'What `node-agent caches remove` calls it.' }),
    kind: Type.Enum(['cache', 'image'], { description: 'image: one that was built or imported on this host.' }),
    project_id: Type.String({ pattern: identifierPattern, description: 'The project.' }),
    revision_sha256: Type.String({
      pattern: '^[0-9a-f]{64}$',
      description: 'The revision of the project; of an image that was downloaded, what stands for its hash.',
    }),
    payload: Type.Optional(
      Type.String({ maxLength: 160, description: 'Hash of an image that was downloaded; it is of no revision.' }),
    ),
    name: Type.Union([Type.String({ maxLength: 64 }), Type.Null()], {
      description: 'What its project calls it; null for an image.',
    }),
    class: Type.Union([Type.Enum(['pip', 'cargo', 'model', 'data']), Type.Null()], {
      description: 'What is in it; null for an image.',
    }),
    bytes: amount(
      'On the disk, of an image with its bases, of a cache when it was last measured; null where it never was.',
    ),
    own_bytes: Type.Optional(
      Type.Integer({ minimum: 0, description: 'On the disk, what only this image has and would go with it.' }),
    ),
    max_bytes: amount('What it may hold before it is emptied; null where that is whatever it likes.'),
    used_at: Type.Union([Type.String({ maxLength: 40 }), Type.Null()], {
      description: 'When a job last had it. RFC 3339 in UTC; null where nobody remembers.',
    }),
    in_use: Type.Boolean({
      description:
        'True while a container has it, but for shared services that no job uses, or a job that has not ended may want it.',
    }),
  },
  {
    ...closed,
    description: 'A cache of a revision of a project, or an image that was built for one or downloaded for a project.',
  },
);
export type KeptItem = Static<typeof KeptItem>;

/** Of the most recently used. */
export const maxKeptItems = 200;
