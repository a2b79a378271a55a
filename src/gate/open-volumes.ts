/**
 * Volumes of a job that all its containers can write to, whoever they run as: an engine makes a new one root's, and closed to others.
 *
 *   what the image has at that place    is in the new volume already, with its owner, when the container was created
 *   a folder that others may look at    is opened for them to write as well, before the first start; its owner stays
 *   a folder that is closed to others   stays so: whoever made it wants that
 *
 * Safe to repeat: what is open is left alone.
 */
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { containerName, jobKind, labels } from '../contract/names.ts';
import { block } from './archives.ts';
import type { GateContext } from './context.ts';
import type { ContainerObject } from './engine-objects.ts';
import { readStart } from './upstream.ts';
import type { NamedVolume } from './verify-mounts.ts';
import { namedVolumes } from './volumes.ts';

/** A volume, and a tar that opens it. */
interface Closed {
  readonly volume: NamedVolume;
  readonly opened: Buffer;
}

/** Those of a container that never ran. */
export async function openVolumes(object: ContainerObject, gate: GateContext, signal: AbortSignal): Promise<void> {
  const { Config, HostConfig } = object;
  if (Config.Labels?.[labels.kind] !== jobKind) return;
  const closed: Closed[] = [];
  for (const volume of namedVolumes(HostConfig.Mounts ?? []).filter(({ readOnly }) => !readOnly)) {
    const opened = await tarThatOpens(object.Id, volume.target, gate, signal);
    if (opened) closed.push({ volume, opened });
  }
  if (closed.length === 0) return;
  if (HostConfig['ReadonlyRootfs'] === true) await openBeside(object, closed, gate, signal);
  else await openIn(object.Id, closed, gate, signal);
}

/** Undefined for what is open, and for what is to stay closed. */
async function tarThatOpens(
  id: string,
  target: string,
  gate: GateContext,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const path = `/containers/${id}/archive`;
  const seen = await gate.engine.stream({ method: 'GET', path, query: { path: target }, signal });
  // Not more of it is read: the rest is all that the volume holds.
  const start = seen.statusCode === 200 ? await readStart(seen, 3 * block, signal) : undefined;
  seen.destroy();
  return start && openedFolder(start);
}

/**
 * The engine takes a file mode only for what lies in the folder that a tar goes to, never for that folder: so it goes beside the
 * volume.
 */
async function openIn(id: string, closed: readonly Closed[], gate: GateContext, signal: AbortSignal): Promise<void> {
  for (const { volume, opened } of closed) {
    const answer = await gate.engine.stream({
      ...{ method: 'PUT', path: `/containers/${id}/archive`, signal },
      query: { path: dirname(volume.target), noOverwriteDirNonDir: '1' },
      ...{ stream: Readable.from([opened]), headers: { 'content-type': 'application/x-tar' } },
    });
    answer.resume();
    if (answer.statusCode === 200) continue;
    const facts = { container_id: id, path: volume.target, status: answer.statusCode };
    gate.log.warn(facts, 'a volume is not open to all users');
  }
}

/**
 * Nothing goes beside a volume where the root is read-only. Another container has the same volumes for a moment and a root that
 * can be written to; it is never started, has no program of the image, and is sealed as of the job: where the gate is killed
 * meanwhile, it goes with the job.
 */
async function openBeside(
  { Config, HostConfig }: ContainerObject,
  closed: readonly Closed[],
  gate: GateContext,
  signal: AbortSignal,
): Promise<void> {
  const targets = new Set(closed.map(({ volume }) => volume.target));
  const service = `open-${randomBytes(6).toString('hex')}`;
  const name = containerName(Config.Labels?.[labels.instance] ?? '', service);
  const request = {
    ...{ Image: Config.Image ?? '', User: Config.User ?? '', Entrypoint: ['/none'], Cmd: [] },
    HostConfig: {
      ...{
        ...HostConfig,
        ReadonlyRootfs: false,
        NetworkMode: 'none',
        PortBindings: {},
        Devices: [],
        DeviceRequests: [],
      },
      Mounts: (HostConfig.Mounts ?? []).filter(({ Target = '' }) => targets.has(Target)),
    },
  };
  const { [labels.gpus]: _cards, ...own } = Config.Labels ?? {};
  const Labels = gate.seals.sealContainer(name, request, { ...own, [labels.service]: service });
  const body = { ...request, Labels };
  const made = await gate.engine.ask({ method: 'POST', path: '/containers/create', query: { name }, body, signal });
  if (made.status !== 201) {
    gate.log.warn({ container: name, status: made.status }, 'volumes are not open to all users');
    return;
  }
  const { Id: id } = JSON.parse(made.body.toString()) as { Id: string };
  try {
    await openIn(id, closed, gate, signal);
  } finally {
    await gate.engine.ask({ method: 'DELETE', path: `/containers/${id}`, query: { v: '1', force: '1' }, signal });
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
