/**
 * Files of an author that jobs are made of. A push is on its way; a revision is what an accepted one has become, by the sha256 of the
 * tar that is kept of it. The bytes are files beside the store.
 *
 *   receiving ─▶ judging ─▶ accepted
 *       └───────────┴─────▶ refused
 */
import { type Static, Type } from 'typebox';
import { Failure } from '../../../contract/failures.ts';
import { maxBases } from '../../../contract/job-build.ts';
import { Sha256 } from '../../../contract/job-outputs.ts';
import { RegistryImage } from '../../../contract/workload-oci-launch.ts';
import { closed, id, nullable, text, time } from './fields.ts';

const Warning = Type.Object(
  {
    path: text(2000, 'JSON pointer into the manifest, or path in the tarball.'),
    code: text(64, 'What sort of warning.'),
    message: text(2000, 'What is worth a look.'),
  },
  { ...closed, description: 'Something that was accepted and is probably not meant.' },
);
const warnings = Type.Array(Warning, { maxItems: 1000, description: 'What was accepted and is worth a look.' });
const bytes = (description: string) => Type.Integer({ minimum: 1, maximum: 2 ** 40, description });

export const Push = Type.Object(
  {
    id: id('The push.'),
    project_id: id('Project that gets the revision.'),
    sha256: nullable(Sha256, 'sha256, in hex, that the upload has as it is sent; null where nobody has said.'),
    bytes: bytes('How long the upload is.'),
    state: Type.Enum(['receiving', 'judging', 'accepted', 'refused'], {
      description:
        'receiving: its bytes come. judging: they are here. accepted: it is a revision. refused: nothing is kept of it.',
    }),
    revision_sha256: nullable(Sha256, 'The revision that it has become; null where it has not.'),
    failure: nullable(Failure, 'Why it was refused; null where it was not.'),
    errors: Type.Array(
      Type.Object(
        { ...Warning.properties, hint: text(2000, 'What to do about it.') },
        { ...closed, description: 'One thing that is wrong.' },
      ),
      { maxItems: 1000, description: 'All that is wrong with it, by where it stands in the manifest or the tarball.' },
    ),
    left_out: Type.Array(text(1100, 'A path.'), {
      maxItems: 10,
      description: 'Some of what was left out by its name, as `.git`.',
    }),
    warnings,
    created_at: time('When it was announced.'),
    created_by: id('API token that pushes.'),
    ended_at: nullable(time('When.'), 'When it was accepted or refused; null before that.'),
    trace_id: text(64, 'Request that announced it.'),
  },
  { ...closed, description: 'A tarball on its way.' },
);
export type Push = Static<typeof Push>;

export const Revision = Type.Object(
  {
    id: id('The revision, within the store.'),
    project_id: id('Project that has it.'),
    sha256: { ...Sha256, description: 'sha256, in hex, of the tar that is kept of it: its name.' },
    bytes: bytes('How long that tar is.'),
    files: Type.Integer({ minimum: 0, description: 'How many files are in it.' }),
    bases: Type.Array(
      Type.Object(
        {
          from: text(600, 'As the Dockerfile names it, once its arguments are put in.'),
          reference: text(600, 'What that was at the push, by digest: this is what is built on.'),
          media_type: RegistryImage.properties.media_type,
          bytes: Type.Optional(
            bytes('How large it is, packed as its registry keeps it; absent of one that was accepted before.'),
          ),
        },
        { ...closed, description: 'An image that it is built on.' },
      ),
      { maxItems: maxBases, description: 'Images that it is built on, as they were resolved.' },
    ),
    warnings,
    pushed_at: time('When it was first accepted.'),
    pushed_by: id('API token that pushed it first.'),
    prepared_on: Type.Array(
      Type.Object(
        { node_id: id('The node.'), at: time('When it last began something in what it had built.') },
        { ...closed, description: 'A host that has built it.' },
      ),
      { maxItems: 1000, description: 'Hosts that have built it.' },
    ),
  },
  { ...closed, description: 'Files of an author, as jobs are made of them.' },
);
export type Revision = Static<typeof Revision>;

export const RevisionManifest = Type.Object(
  { id: id('The revision.'), manifest: Type.Unknown({ description: 'Its computalot.project.json.' }) },
  { ...closed, description: 'What a revision says of itself; apart, as lists do not need it.' },
);
export type RevisionManifest = Static<typeof RevisionManifest>;
