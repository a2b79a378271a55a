/**
 * Judges what was pushed: the tarball itself, what it says of itself, and what it is built on. All that is wrong is told at once; of
 * what is refused nothing stays. Nothing of it is written by a name of its author's, and none of it is held in memory, nor its list
 * while registries are asked.
 */
import { rm } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { AgentError, type Failure } from '../../contract/failures.ts';
import type { PathError } from '../../contract/validate.ts';
import type { Slots } from '../../kit/slots.ts';
import { openTarball } from '../../kit/tarball/open-tarball.ts';
import { type Tarball, TarballRefused } from '../../kit/tarball/tarball.ts';
import { canonicalTar, contentOf, writePacked } from '../../kit/tarball/write-tar.ts';
import { maxManifestBytes, readDocument } from '../../manifests/read-document.ts';
import type { Push } from '../db/entities/revision.ts';
import type { Resolving } from '../jobs/resolve-images.ts';
import { judgeFiles } from './judge-files.ts';
import type { AcceptedFiles, ListedFault } from './keep-pushes.ts';
import { resolveBases } from './resolve-bases.ts';
import type { RevisionFiles } from './revision-files.ts';

/** At the root of a tarball, beside Dockerfile and code. */
const manifestFile = 'computalot.project.json';

export type Judged =
  | { readonly is: 'accepted'; readonly files: AcceptedFiles; readonly tar: string }
  | { readonly is: 'refused'; readonly failure: Failure; readonly errors: readonly ListedFault[] };

export interface JudgingGround {
  readonly revisions: RevisionFiles;
  readonly resolving: Resolving;
  /** Places for those that read and write, and for those that wait for what others say: nobody has one of each. */
  readonly places: { readonly disk: Slots; readonly registries: Slots };
}

/** All registries of one push together: then those that have said nothing are told to its author. */
const patienceMs = 60_000;

/** The caller takes away what lies beside the upload afterwards. */
export async function judgePush(
  push: Push,
  { revisions, resolving, places }: JudgingGround,
  signal: AbortSignal,
): Promise<Judged> {
  try {
    const { errors: offline, from, packed } = await places.disk.run(signal, () => pack(push, revisions, signal));
    const ask = () => resolveBases(from, resolving, { signal, patience: AbortSignal.timeout(patienceMs) });
    const { bases, errors: unknown } = from.length > 0 ? await places.registries.run(signal, ask) : nothingAsked;
    const errors = [...offline, ...unknown];
    if (!packed || errors.length > 0) return refused(errors.map(inManifest));
    const { tar, ...files } = packed;
    return { is: 'accepted', files: { ...files, bases }, tar };
  } catch (error) {
    if (error instanceof TarballRefused) return refused(inTarball(error));
    if (error instanceof Refused) return refused(error.errors);
    throw error;
  }
}

const nothingAsked = { bases: [], errors: [] };

/** What can be told of it on this disk, and its tar where nothing of that is wrong. */
async function pack(push: Push, revisions: RevisionFiles, signal: AbortSignal) {
  signal.throwIfAborted();
  const work = await revisions.workOf(push);
  await revisions.assertRoom();
  const passing = (chunks: AsyncIterable<Buffer>) => revisions.whileRoom(chunks);
  const tarball = await openTarball({ file: work.upload, spool: work.spool, passing });
  const manifest = await manifestOf(tarball);
  const { errors, warnings, bases: from } = await judgeFiles(tarball, manifest);
  if (errors.length > 0) return { errors, from, packed: undefined };
  const { size: bytes, sha256 } = await writePacked(canonicalTar(tarball), work.tar, passing);
  await rm(work.spool, { force: true });
  const files = tarball.entries.filter(({ type }) => type === 'file').length;
  const left_out = tarball.leftOut.some;
  return { errors, from, packed: { sha256, bytes, files, manifest, warnings, left_out, tar: work.tar } };
}

/** The value, or what keeps it from being read. */
export async function manifestOf(tarball: Tarball): Promise<unknown> {
  const found = tarball.find(manifestFile);
  if (found === undefined || found === 'root' || found.type !== 'file') throw missing(tarball);
  if (found.size > maxManifestBytes)
    throw faults([{ code: 'too_large', message: `is larger than ${maxManifestBytes} bytes` }]);
  const text = await buffer(contentOf(tarball, manifestFile).stream());
  const read = readDocument(text.toString('utf8'));
  if (!read.ok) throw faults(read.errors);
  return read.value;
}

/** Where the author has put it into a folder that was packed with its name, that is said. */
function missing(tarball: Tarball): Refused {
  const elsewhere = tarball.entries.filter(({ path, type }) => type === 'file' && path.endsWith(`/${manifestFile}`));
  const [first] = elsewhere;
  const where = first
    ? `: it is in a sub-folder, as ${first.path}. Pack what is in that folder, not the folder itself`
    : '';
  return faults([{ code: 'missing', message: `is missing: the root of the tarball has no ${manifestFile}${where}` }]);
}

/** What is wrong with a project, thrown where nothing more can be found out. */
export class Refused extends Error {
  readonly errors: readonly ListedFault[];

  constructor(errors: readonly ListedFault[]) {
    super(errors.map(({ path, message }) => `${path} ${message}`).join('; '));
    this.errors = errors;
  }
}

function faults(errors: readonly (Omit<PathError, 'path'> & { readonly path?: string })[]): Refused {
  return new Refused(errors.map((error) => inManifest({ path: '', ...error })));
}

/** `path` is a JSON pointer into the manifest. */
export function inManifest(error: PathError): ListedFault {
  const isSilent = error.code === 'image.pull_failed';
  return { ...error, hint: isSilent ? 'Push again once its registry answers.' : correctIt };
}

const correctIt = `Correct this place of ${manifestFile} and push again.`;

export function inTarball({ troubles, count }: TarballRefused): ListedFault[] {
  const listed = troubles.map((trouble) => ({ ...trouble, hint: 'Take it out of the tarball, or pack it anew.' }));
  if (count <= listed.length) return listed;
  const message = `${count - listed.length} more entries are not taken`;
  return [...listed, { path: '', code: 'more', message, hint: 'Correct those that are listed first.' }];
}

function refused(errors: readonly ListedFault[]): Judged {
  return { is: 'refused', failure: new AgentError('push.refused').toFailure(), errors };
}
