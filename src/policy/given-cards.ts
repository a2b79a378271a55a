/**
 * How cards are handed to a container, written once for the engine's API and for Compose.
 *
 *   nvidia_ids  the engine's own way: it writes NVIDIA_VISIBLE_DEVICES itself and runs the toolkit's hook
 *   cdi         by the names of the host's CDI specs, where engine and host know them; no variable decides anything
 *   amd         the compute device, the render node of each card, and the groups that own them
 *
 * Always by UUID, never by a number: an engine's `Count: 1` is the first card, whoever has it already.
 */
import type { Gpu } from '../contract/gpus.ts';
import type { Sandbox } from '../contract/workload-oci-launch.ts';
import type { ContainerRequest } from './container-request.ts';

export interface GivenCards {
  /** Sorted. */
  readonly uuids: readonly string[];
  readonly by: 'nothing' | 'nvidia_ids' | 'cdi' | 'amd';
  /** Devices of the host, for AMD only. */
  readonly devices: readonly string[];
  /** Groups of the host that own these devices. Never 0. */
  readonly groups: readonly number[];
}

export const noCards: GivenCards = { uuids: [], by: 'nothing', devices: [], groups: [] };

/** What engine and host offer for giving cards away. */
export interface CardWays {
  /** Full CDI names, `nvidia.com/gpu=<uuid>`, that the engine would resolve; empty where it knows no CDI. */
  readonly cdiNames: ReadonlySet<string>;
  /** Render node of each AMD card by UUID, and the group that owns it. */
  readonly renderNodes: ReadonlyMap<string, { readonly path: string; readonly group: number }>;
  /** Group of {@link computeDevice}. */
  readonly computeGroup: number | undefined;
}

/** The one device that all AMD cards share. What a process may use is decided by the render nodes that it has. */
export const computeDevice = '/dev/kfd';

/** Capabilities of the NVIDIA driver: to compute, and to look at the card. */
const nvidiaCapabilities = ['gpu', 'compute', 'utility'] as const;

export function cdiName(uuid: string): string {
  return `nvidia.com/gpu=${uuid}`;
}

/**
 * Undefined where the host has no way to give these cards: an AMD card whose render node is not to be found. To gVisor they are given
 * by their ids, since it does what the toolkit's hook would do itself, and knows nothing of what a CDI spec asks for.
 */
export function giveCards(
  cards: readonly Pick<Gpu, 'uuid' | 'vendor'>[],
  ways: CardWays,
  sandbox: Sandbox,
): GivenCards | undefined {
  const uuids = cards.map(({ uuid }) => uuid).sort();
  if (uuids.length === 0) {
    return noCards;
  }
  if (cards.every(({ vendor }) => vendor === 'nvidia')) {
    const isNamed = uuids.every((uuid) => ways.cdiNames.has(cdiName(uuid)));
    const by = isNamed && sandbox !== 'gvisor' ? 'cdi' : 'nvidia_ids';
    return { uuids, by, devices: [], groups: [] };
  }
  const nodes = uuids.flatMap((uuid) => ways.renderNodes.get(uuid) ?? []);
  if (nodes.length !== uuids.length || ways.computeGroup === undefined) {
    return undefined;
  }
  const groups = new Set([ways.computeGroup, ...nodes.map(({ group }) => group)]);
  groups.delete(0);
  return {
    ...{ uuids, by: 'amd', groups: [...groups].sort((a, b) => a - b) },
    devices: [computeDevice, ...nodes.map(({ path }) => path).sort()],
  };
}

/** True where the engine writes NVIDIA_VISIBLE_DEVICES itself, so that nobody else may. */
export function engineNames({ by }: GivenCards): boolean {
  return by === 'nvidia_ids';
}

export type CardRequest = Pick<ContainerRequest['HostConfig'], 'DeviceRequests' | 'Devices' | 'GroupAdd'>;

/** The part of a create request that asks for these cards; without any it is empty. */
export function cardRequest({ uuids, by, devices, groups }: GivenCards): CardRequest {
  switch (by) {
    case 'nothing':
      return {};
    case 'nvidia_ids':
      return {
        DeviceRequests: [{ Driver: 'nvidia', DeviceIDs: [...uuids], Capabilities: [[...nvidiaCapabilities]] }],
      };
    case 'cdi':
      return { DeviceRequests: [{ Driver: 'cdi', DeviceIDs: uuids.map(cdiName), Capabilities: [['gpu']] }] };
    case 'amd':
      return {
        Devices: devices.map((path) => ({ PathOnHost: path, PathInContainer: path, CgroupPermissions: 'rw' })),
        ...(groups.length > 0 && { GroupAdd: groups.map(String) }),
      };
  }
}

/** The same for a service of a Compose document. */
export interface ComposeCards {
  readonly deploy?: {
    readonly resources: {
      readonly reservations: {
        readonly devices: readonly {
          readonly driver: string;
          readonly device_ids: readonly string[];
          readonly capabilities: readonly string[];
        }[];
      };
    };
  };
  readonly devices?: readonly string[];
  readonly group_add?: readonly string[];
}

export function composeCards(cards: GivenCards): ComposeCards {
  const { DeviceRequests, Devices, GroupAdd } = cardRequest(cards);
  const devices = DeviceRequests?.map(({ Driver, DeviceIDs, Capabilities }) => ({
    ...{ driver: Driver, device_ids: DeviceIDs, capabilities: Capabilities.flat() },
  }));
  return {
    ...(devices && { deploy: { resources: { reservations: { devices } } } }),
    ...(Devices && { devices: Devices.map(({ PathOnHost }) => `${PathOnHost}:${PathOnHost}:rw`) }),
    ...(GroupAdd && { group_add: GroupAdd }),
  };
}

/** Text of the label with the cards of a container. */
export function cardsLabel({ uuids }: GivenCards): string {
  return [...uuids].sort().join(',');
}

/** UUIDs in such a label. */
export function readCardsLabel(label: string | undefined): string[] {
  return (label ?? '').split(',').filter((uuid) => uuid !== '');
}
