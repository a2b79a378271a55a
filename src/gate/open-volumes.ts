/**
 * Volumes of a job that all its containers can write to, whoever they run as: an engine makes a new one root's, and closed to others.
 *
 *   what the image has at that place    is in the new volume already, with its owner, when the container was created
 *   a folder that others may look at    is opened for them to write as well, before the first start; its owner stays
 *   a folder that is closed to others   stays so: whoever made it wants that
 *
 * Safe to repeat: what is open is left alone.
 */
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { jobKind, labels } from '../contract/names.ts';
import { block } from './archives.ts';
import type { GateContext } from './context.ts';
import type { ContainerObject } from './engine-objects.ts';
import { readStart } from './upstream.ts';
import { namedVolumes } from './volumes.ts';

/**
 * Those of a container that never ran. The engine takes a file mode only for what lies in the folder that a tar goes to, never for
 * that folder: so it goes beside the volume, and one with a read-only root is left as it is.
 */
export async function openVolumes(object: ContainerObject, gate: GateContext, signal: AbortSignal): Promise<void> {
  const { Config, HostConfig } = object;
  if (Config.Labels?.[labels.kind] !== jobKind || HostConfig['ReadonlyRootfs'] === true) return;
  for (const { target, readOnly } of namedVolumes(HostConfig.Mounts ?? [])) {
    if (!readOnly) await openVolume(object.Id, target, gate, signal);
  }
}

async function openVolume(id: string, target: string, gate: GateContext, signal: AbortSignal): Promise<void> {
  const path = `/containers/${id}/archive`;
  const seen = await gate.engine.stream({ method: 'GET', path, query: { path: target }, signal });
  // Not more of it is read: the rest is all that the volume holds.
  const start = seen.statusCode === 200 ? await readStart(seen, 3 * block, signal) : undefined;
  seen.destroy();
  const opened = start && openedFolder(start);
  if (!opened) return;
  const answer = await gate.engine.stream({
    ...{ method: 'PUT', path, query: { path: dirname(target), noOverwriteDirNonDir: '1' }, signal },
    ...{ stream: Readable.from([opened]), headers: { 'content-type': 'application/x-tar' } },
  });
  answer.resume();
  if (answer.statusCode !== 200) {
    gate.log.warn({ container_id: id, path: target, status: answer.statusCode }, 'a volume is not open to all users');
  }
}

/**
 * A tar that opens the folder that this is the start of a tar of; undefined where it is none, or is not to be opened. A name of more
 * than 100 characters stands in an extended header before that of the folder.
 */
function openedFolder(start: Buffer): Buffer | undefined {
  const at = typeOf(start) === 'x' ? 2 * block : 0;
  const header = start.subarray(at, at + block);
  const mode = Number.parseInt(header.toString('latin1', 100, 108), 8);
  const mayLook = (mode & 0o005) === 0o005;
  if (typeOf(header) !== '5' || !mayLook || (mode & 0o002) !== 0) return undefined;
  header.write(`${(mode | 0o777).toString(8).padStart(7, '0')}\0`, 100, 'latin1');
  header.write(' '.repeat(8), 148, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return Buffer.concat([start.subarray(0, at), header, Buffer.alloc(2 * block)]);
}

function typeOf(header: Buffer): string {
  return header.toString('latin1', 156, 157);
}
