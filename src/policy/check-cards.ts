/**
 * The part of the second safety function that is about cards: what a request asks the engine for is exactly what its label
 * says, and what its label says is what the gate keeps exclusive.
 */
import { labels } from '../contract/names.ts';
import { pointerToken } from '../contract/pointer.ts';
import type { PathError } from '../contract/validate.ts';
import { nameOf, noDevices } from './environment.ts';
import { type AnyContext, label, unless } from './request-check.ts';

const cdiPrefix = 'nvidia.com/gpu=';
/** The device that all AMD cards share. */
export const computeNode = '/dev/kfd';
/** In lower case alone, as in the request's schema. */
const uuidPattern = /^(GPU|MIG)-[0-9a-z-]{1,64}$/;

/**
 * What a container has to itself by what it asks for: NVIDIA cards by UUID; AMD cards by UUID and by render node, so that a
 * wrong label does not help. Read from a request or from what the engine shows of a container.
 */
export function exclusiveOf({ Labels, HostConfig }: Holding): string[] {
  const nodes = (HostConfig.Devices ?? []).map(({ PathOnHost }) => PathOnHost);
  return [...labelled(Labels?.[labels.gpus] ?? ''), ...nodes.filter((path) => path !== computeNode)];
}

export interface Holding {
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly HostConfig: { readonly Devices?: readonly { readonly PathOnHost: string }[] | null };
}

export function checkCards(context: AnyContext): PathError[] {
  const { DeviceRequests = [], Devices = [], GroupAdd = [], Runtime } = context.request.HostConfig;
  const uuids = labelled(label(context, labels.gpus));
  const asked = DeviceRequests.flatMap(({ DeviceIDs }) => DeviceIDs).map((id) =>
    id.startsWith(cdiPrefix) ? id.slice(cdiPrefix.length) : id,
  );
  const isAmd = Devices.length > 0;
  const renderNodes = Devices.filter(({ PathOnHost }) => PathOnHost !== computeNode);
  const isSame = isAmd
    ? asked.length === 0 && renderNodes.length === uuids.length
    : sorted(asked).join(',') === uuids.join(',');
  return [
    ...unless(
      isSame &&
        uuids.every((uuid) => uuidPattern.test(uuid)) &&
        sorted(uuids).join(',') === uuids.join(',') &&
        new Set(uuids).size === uuids.length,
      `/Labels/${pointerToken(labels.gpus)}`,
      'cards',
      'must be exactly the cards that are asked for, sorted',
    ),
    ...unless(
      !isAmd || renderNodes.length === Devices.length - 1,
      '/HostConfig/Devices',
      'cards',
      `must be ${computeNode} once and a render node for each card`,
    ),
    ...unless(
      new Set(Devices.map(({ PathOnHost }) => PathOnHost)).size === Devices.length,
      '/HostConfig/Devices',
      'cards',
      'must not repeat a device',
    ),
    ...Devices.flatMap(({ PathOnHost, PathInContainer }, index) =>
      unless(PathOnHost === PathInContainer, `/HostConfig/Devices/${index}`, 'cards', 'must be at its own place'),
    ),
    ...unless(isAmd || GroupAdd.length === 0, '/HostConfig/GroupAdd', 'cards', 'is for the devices of cards only'),
    ...(uuids.length + Devices.length > 0 && Runtime === context.policy.sandboxes.gvisor
      ? underGvisor(context, uuids)
      : []),
  ];
}

/** Its nvproxy knows whole cards of NVIDIA, which the engine gives by their ids. */
function underGvisor({ request, policy }: AnyContext, uuids: readonly string[]): PathError[] {
  const { DeviceRequests = [], Devices = [] } = request.HostConfig;
  return [
    ...unless(
      policy.gvisor_cards === true,
      '/HostConfig/Runtime',
      'runtime',
      'has no cards here: gvisor_cards is not set',
    ),
    ...unless(Devices.length === 0, '/HostConfig/Devices', 'cards', 'are not for gVisor'),
    ...unless(
      DeviceRequests.every(({ Driver }) => Driver === 'nvidia') && uuids.every((uuid) => uuid.startsWith('GPU-')),
      '/HostConfig/DeviceRequests',
      'cards',
      'must be whole cards of NVIDIA by their ids under gVisor',
    ),
  ];
}

/**
 * Without a card, or with cards that no variable chooses, the word for none must be there; where the engine is to write
 * which cards it gave, nobody else may.
 */
export function checkCardVariable({ request }: AnyContext): PathError[] {
  const byId = (request.HostConfig.DeviceRequests ?? []).some(({ Driver }) => Driver === 'nvidia');
  const says = request.Env.filter((entry) => nameOf(entry) === nameOf(noDevices) && entry !== nameOf(noDevices));
  return byId
    ? unless(says.length === 0, '/Env', 'variable', `must not set ${nameOf(noDevices)}: the engine does`)
    : unless(request.Env.includes(noDevices), '/Env', 'variable', `must hold ${noDevices}`);
}

function labelled(text: string): string[] {
  return text === '' ? [] : text.split(',');
}

function sorted(texts: readonly string[]): string[] {
  return [...texts].sort();
}
