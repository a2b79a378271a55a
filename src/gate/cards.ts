/**
 * Cards are exclusive, whatever a client says: what a container of ours holds, running or not, no other one gets.
 *
 * The truth is the engine's own list, read through the seals; nothing is kept that could be lost. One lock makes it one
 * answer for everybody: two containers that are created at once cannot both find a card free. Of a MIG instance nobody but
 * the driver knows which card it is a part of, so that the ledger of the agent alone keeps card and part apart.
 */
import { lstat, readFile } from 'node:fs/promises';
import { AgentError } from '../contract/failures.ts';
import { jobKind, labels } from '../contract/names.ts';
import type { PathError } from '../contract/validate.ts';
import { computeNode, exclusiveOf } from '../policy/check-cards.ts';
import type { AnyContainerRequest } from '../policy/job-request.ts';
import { refuse } from '../policy/refusal.ts';
import type { GateContext } from './context.ts';

/** Runs `create` once nobody else can take what the request wants to itself; `gpu.none_free` where somebody has it. */
export async function withCards<T>(
  name: string,
  request: AnyContainerRequest,
  gate: GateContext,
  signal: AbortSignal,
  create: () => Promise<T>,
): Promise<T> {
  const wanted = exclusiveOf(request);
  if (wanted.length === 0) return await create();
  refuse([{ failure: 'policy.refused', errors: await checkDevices(request, lookAtDevice) }]);
  return await gate.locks.run('cards', async () => {
    await refuseHeld({ name, job: jobOf(request) }, wanted, gate, signal);
    return await create();
  });
}

/** Undefined for a container of anything else. */
function jobOf({ Labels }: Pick<AnyContainerRequest, 'Labels'>): string | undefined {
  return Labels[labels.kind] === jobKind ? Labels[labels.instance] : undefined;
}

/**
 * One of the same name is the engine's to refuse: it says who is there already. The containers of one job share its cards, as
 * the processes of one workload do.
 */
async function refuseHeld(
  { name, job }: { readonly name: string; readonly job: string | undefined },
  wanted: readonly string[],
  gate: GateContext,
  signal: AbortSignal,
) {
  const holders = await gate.containers.list([labels.gpus], signal);
  const rivals = holders.filter(
    (holder) =>
      holder.name !== name &&
      (job === undefined || holder.job !== job) &&
      holder.exclusive.some((each) => wanted.some((one) => isSameCard(one, each))),
  );
  if (rivals.length === 0) return;
  const held = wanted.filter((one) => rivals.some(({ exclusive }) => exclusive.some((each) => isSameCard(one, each))));
  const instances = [...new Set(rivals.map(({ member }) => member.split('.')[0] ?? ''))].sort();
  gate.log.warn({ container: name, reason: held.join(', ') }, 'card is with another container, refused');
  throw new AgentError('gpu.none_free', {
    reason: `${held.join(', ')} ${held.length === 1 ? 'is' : 'are'} with ${instances.join(', ')}.`,
    held_by: instances,
  });
}

/** NVIDIA's tools take the beginning of a UUID for all of it. */
function isSameCard(one: string, other: string): boolean {
  const isPath = one.startsWith('/') || other.startsWith('/');
  return isPath ? one === other : one.startsWith(other) || other.startsWith(one);
}

/** What the kernel says of a device file. */
export interface Device {
  readonly major: number;
  readonly group: number;
  /** Of the card behind it, in hex; undefined where the kernel does not tell. */
  readonly uniqueId: string | undefined;
}

/** Of the kernel's graphics devices, render nodes included. */
const graphicsMajor = 226;

/** AMD cards: device files that are what they are called, each of a card in the label, and no group but their owners'. */
export async function checkDevices(
  { Labels, HostConfig }: Pick<AnyContainerRequest, 'Labels' | 'HostConfig'>,
  look: (path: string) => Promise<Device | undefined>,
): Promise<PathError[]> {
  const { Devices = [], GroupAdd = [] } = HostConfig;
  const uuids = (Labels[labels.gpus] ?? '').split(',');
  const devices = await Promise.all(
    Devices.map(async ({ PathOnHost }) => ({ path: PathOnHost, is: await look(PathOnHost) })),
  );
  const owners = new Set(devices.map(({ is }) => is?.group));
  return [
    ...devices.flatMap(({ path, is }, index) => {
      const message = path === computeNode ? describeAbsent(is) : describeWrongNode(is, uuids);
      return message === undefined ? [] : [{ path: `/HostConfig/Devices/${index}`, code: 'device', message }];
    }),
    ...GroupAdd.flatMap((group, index) =>
      group !== '0' && owners.has(Number(group))
        ? []
        : [{ path: `/HostConfig/GroupAdd/${index}`, code: 'group', message: 'owns none of these devices' }],
    ),
  ];
}

function describeAbsent(device: Device | undefined): string | undefined {
  return device === undefined ? 'is no device of this host' : undefined;
}

function describeWrongNode(device: Device | undefined, uuids: readonly string[]): string | undefined {
  if (device?.major !== graphicsMajor) return 'is no render node of this host';
  const uuid = device.uniqueId === undefined ? undefined : `GPU-${device.uniqueId}`;
  return uuid === undefined || uuids.includes(uuid) ? undefined : `is that of ${uuid}`;
}

/** Links are not followed: a device is where it is called. */
async function lookAtDevice(path: string): Promise<Device | undefined> {
  const found = await lstat(path).catch(absent);
  if (found === undefined || !found.isCharacterDevice()) return undefined;
  const id = await readFile(`/sys/class/drm/${path.split('/').pop()}/device/unique_id`, 'utf8').catch(absent);
  const [, digits] = /^(?:0x)?([0-9a-f]{1,16})$/.exec(id?.trim().toLowerCase() ?? '') ?? [];
  return { major: (found.rdev >> 8) & 0xfff, group: found.gid, uniqueId: digits?.padStart(16, '0') };
}

function absent(error: unknown): undefined {
  if (['ENOENT', 'ENOTDIR', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
  throw error;
}
