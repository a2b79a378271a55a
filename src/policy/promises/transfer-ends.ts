/** Where a `transfer` leads from and to: a file in one of the volumes of the job, and an address outside. */
import type { ExeCommand } from '../../contract/exe-script.ts';
import type { EgressRule } from '../../contract/job-egress.ts';
import { readPlace, whyNeverAllowed } from './places.ts';

/** Volumes of such a job, each at `/golem/` and its name. Files go to and from these alone: a sandbox sees nothing else come. */
export const golemVolumes = ['input', 'output', 'work', 'resource'] as const;
export const golemFolder = '/golem';

export type TransferEnd =
  | {
      readonly kind: 'file';
      /** One of `golemVolumes`. */
      readonly volume: string;
      /** Relative to the volume, without `.`, `..` and empty parts. */
      readonly path: string;
    }
  | { readonly kind: 'address'; readonly url: string; readonly place: EgressRule };

export type ReadTransfer =
  | { readonly ok: true; readonly from: TransferEnd; readonly to: TransferEnd }
  | { readonly ok: false; readonly errors: readonly { readonly at: 'from' | 'to'; readonly message: string }[] };

type Transfer = NonNullable<ExeCommand['transfer']>;

/** One end is a file of the job and the other an address outside that is not private by itself. */
export function readTransfer(transfer: Transfer): ReadTransfer {
  const [from, to] = [readEnd(transfer.from), readEnd(transfer.to)];
  if (typeof from !== 'string' && typeof to !== 'string') {
    const message = `must lead ${from.kind === 'file' ? 'out of' : 'into'} the container: one end is a file, the other an address`;
    return from.kind === to.kind ? { ok: false, errors: [{ at: 'to', message }] } : { ok: true, from, to };
  }
  const wrong = (at: 'from' | 'to', end: TransferEnd | string) =>
    typeof end === 'string' ? [{ at, message: end }] : [];
  return { ok: false, errors: [...wrong('from', from), ...wrong('to', to)] };
}

/** Text: what is wrong with it. */
function readEnd(text: string): TransferEnd | string {
  if (/^container:/.test(text)) return readFile(text.slice('container:'.length));
  const read = readPlace(text);
  if (!read.ok) return `${read.message}, or container:/ and a path`;
  const never = whyNeverAllowed(read.rule);
  return never === undefined
    ? { kind: 'address', url: text, place: read.rule }
    : `${never}, which is never let through`;
}

function readFile(path: string): TransferEnd | string {
  const [root, folder, volume = '', ...parts] = path.split('/');
  const isThere = root === '' && `/${folder}` === golemFolder && golemVolumes.some((name) => name === volume);
  const isFile = parts.length > 0 && parts.every((part) => part !== '' && part !== '.' && part !== '..');
  if (isThere && isFile) return { kind: 'file', volume, path: parts.join('/') };
  return `must be a file below ${golemVolumes.map((name) => `${golemFolder}/${name}`).join(', ')}`;
}
