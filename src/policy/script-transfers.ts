/**
 * What a transfer of a script is about: one file from an address into a volume of its container, or out of one to an address. Pure:
 * judged where a job is accepted, again on its host before its first command, and read there when it is carried out.
 */
import type { ExeCommand } from '../contract/exe-script.ts';
import type { EgressRule } from '../contract/job-egress.ts';
import type { JobPlan, JobStep } from '../contract/job-plan.ts';
import type { PathError } from '../contract/validate.ts';
import { mayReach } from './may-reach.ts';
import { placeText, readPlace } from './promises/places.ts';

export interface ScriptTransfer {
  /** True from an address into the container. */
  readonly isInward: boolean;
  readonly url: URL;
  /** What of the address counts. */
  readonly place: EgressRule;
  /** Absolute, in the container. */
  readonly path: string;
  readonly volume: string;
  /** The same relative to the volume: names without `.` and `..`. */
  readonly inVolume: string;
}

type Transfer = NonNullable<ExeCommand['transfer']>;
type Ends = 'from' | 'to';
type Read =
  | { readonly ok: true; readonly transfer: ScriptTransfer }
  | { readonly ok: false; readonly errors: readonly PathError[] };

const inContainer = 'container:';
const mostFolders = 64;
const mostNameBytes = 255;
const mostPathBytes = 1024;

/** Errors have paths below the transfer. */
export function readTransfer(
  transfer: Transfer,
  { mounts }: Pick<JobStep, 'mounts'>,
  { egress, volumes }: Pick<JobPlan, 'egress' | 'volumes'>,
): Read {
  const ends = (['from', 'to'] as const).map((end) => ({ end, text: transfer[end] }));
  const [inside, second] = ends.filter(({ text }) => text.startsWith(inContainer));
  const outside = ends.find(({ text }) => !text.startsWith(inContainer));
  if (!inside || !outside || second) {
    return failed(
      'to',
      'transfer',
      `must be ${second ? 'an address' : 'container:/ and a path'}: one end is a file, the other an address`,
    );
  }
  const isInward = inside.end === 'to';
  const own = mounts.filter(({ volume }) => volumes.some(({ name }) => name === volume));
  const place = readFile(inside.text.slice(inContainer.length), own, isInward);
  const address = readAddress(outside.text);
  if (typeof place === 'string') return failed(inside.end, 'path', place);
  if (typeof address === 'string') return failed(outside.end, 'address', address);
  const { scheme, host, port } = address.place;
  if (!mayReach(egress, scheme, host, port)) {
    const message = `${placeText(address.place)} is none of the addresses that the job may reach`;
    return failed(outside.end, 'not_listed', message);
  }
  return { ok: true, transfer: { isInward, ...address, ...place } };
}

function failed(end: Ends, code: string, message: string): Read {
  return { ok: false, errors: [{ path: `/${end}`, code, message }] };
}

/** What is wrong with it is a text. */
function readFile(
  path: string,
  mounts: JobStep['mounts'],
  isInward: boolean,
): Pick<ScriptTransfer, 'path' | 'volume' | 'inVolume'> | string {
  const names = path.split('/').slice(1);
  const isPlain =
    path.startsWith('/') &&
    bytesOf(path) <= mostPathBytes &&
    names.every((name) => !['', '.', '..'].includes(name) && bytesOf(name) <= mostNameBytes);
  if (!isPlain) return 'must be an absolute path of a file, without empty names, `.` and `..`';
  const mount = mounts.find((each) => path.startsWith(`${each.path}/`));
  if (!mount) {
    const places = mounts.map((each) => each.path).join(', ');
    return `must lie below a volume of the container: ${places === '' ? 'it has none' : places}`;
  }
  if (isInward && mount.read_only) return `must lie below a volume that may be written to, and ${mount.path} may not`;
  if (names.length > mostFolders) return `must have at most ${mostFolders} names`;
  return { path, volume: mount.volume, inVolume: path.slice(mount.path.length + 1) };
}

function readAddress(text: string): Pick<ScriptTransfer, 'url' | 'place'> | string {
  const read = readPlace(text);
  if (!read.ok) return read.message;
  const url = new URL(text);
  url.hash = '';
  return { url, place: read.rule };
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}
