/**
 * Networks of workloads: what the agent may ask the gate for, and what the gate makes of it.
 *
 * The agent gives a name and labels. The subnet is the gate's choice, a /28 of the host's own pool: an engine's default
 * pools run out near 31 networks, and the host's firewall is written for the one pool.
 */
import { type Static, Type } from 'typebox';
import { AgentError } from '../contract/failures.ts';
import { identifierPattern } from '../contract/identifiers.ts';
import { labels, networkName } from '../contract/names.ts';
import { judge, type PathError } from '../contract/validate.ts';
import type { HostPolicy } from './host-policy.ts';

const closed = { additionalProperties: false } as const;
const Identifier = Type.String({ pattern: identifierPattern });

export const NetworkRequest = Type.Object(
  {
    Name: Type.String({ pattern: '^gpuaas-[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$', description: 'Named after the instance.' }),
    Driver: Type.Literal('bridge', { description: 'No other driver keeps to the host.' }),
    Labels: Type.Object(
      {
        'gpuaas.instance': Identifier,
        'gpuaas.project': Identifier,
        'gpuaas.allocation': Identifier,
      },
      { ...closed, description: 'Whose network it is.' },
    ),
  },
  { ...closed, description: 'What may be asked of the gate: no address, no option, no other driver.' },
);
export type NetworkRequest = Static<typeof NetworkRequest>;

/** Body of the engine's `POST /networks/create`. */
export interface NetworkCreate {
  readonly Name: string;
  readonly CheckDuplicate: true;
  readonly Driver: 'bridge';
  readonly Internal: boolean;
  readonly Attachable: false;
  readonly Ingress: false;
  readonly EnableIPv6: false;
  readonly IPAM: { readonly Driver: 'default'; readonly Config: readonly { readonly Subnet: string }[] };
  readonly Options: Readonly<Record<string, string>>;
  readonly Labels: Readonly<Record<string, string>>;
}

/** Every path at which the body is not a network this host makes; empty if it may be rendered. */
export function checkNetworkRequest(body: unknown, policy: HostPolicy): PathError[] {
  const judged = judge(NetworkRequest, body);
  if (!judged.ok) {
    return judged.errors;
  }
  const { Name, Labels } = judged.value;
  const errors: PathError[] = [];
  if (Name !== networkName(Labels[labels.instance])) {
    errors.push({ path: '/Name', code: 'name', message: 'is not the network of the labelled instance' });
  }
  if (Labels[labels.allocation] !== policy.allocation.id) {
    errors.push({ path: '/Labels/gpuaas.allocation', code: 'label', message: 'must be the allocation of this host' });
  }
  return errors;
}

/**
 * `open`: with a way out. `closed`: without one, and without an address of the host, at which its listeners could be reached; engines from
 * 28 on have a word of their own for that.
 */
export type NetworkWay = 'open' | 'closed';

const noHostAddress = {
  before28: { 'com.docker.network.bridge.inhibit_ipv4': 'true' },
  from28: { 'com.docker.network.bridge.gateway_mode_ipv4': 'isolated' },
} as const;

/** The full body for the engine, with nothing left to its defaults that could open the network. */
export function renderNetwork(
  { Name, Driver, Labels }: NetworkRequest,
  subnet: string,
  { way = 'open', engineMajor = 0 }: { readonly way?: NetworkWay; readonly engineMajor?: number } = {},
): NetworkCreate {
  const isClosed = way === 'closed';
  return {
    Name,
    // Engines before 25 otherwise make a second network of the same name.
    CheckDuplicate: true,
    Driver,
    Internal: isClosed,
    Attachable: false,
    Ingress: false,
    EnableIPv6: false,
    IPAM: { Driver: 'default', Config: [{ Subnet: subnet }] },
    // Where a port is published without an address, it stays on the loopback.
    Options: {
      'com.docker.network.bridge.host_binding_ipv4': '127.0.0.1',
      ...(isClosed && noHostAddress[engineMajor < 28 ? 'before28' : 'from28']),
    },
    Labels: { ...Labels },
  };
}

interface Range {
  readonly first: number;
  readonly size: number;
}

const subnetSize = 16;
const rangeText = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/;

/** The /28 subnets of the pool in ascending order; `config.invalid` where the pool is none. */
export function* subnetsOf(pool: string): Generator<string, void, undefined> {
  const range = readRange(pool);
  if (!range || range.size < subnetSize || range.first % range.size !== 0) {
    throw new AgentError('config.invalid', {
      reason: `network_pool ${pool} is not an IPv4 range of at least /28 that begins at its own first address.`,
      errors: [{ path: '/network_pool', code: 'range', message: 'must be a range such as 10.213.0.0/20' }],
    });
  }
  for (let first = range.first; first < range.first + range.size; first += subnetSize) {
    yield `${addressText(first)}/28`;
  }
}

/**
 * True if two ranges share an address; a bare address counts as /32. An IPv6 range never overlaps with ours. A text
 * that is neither may be anything, so it overlaps.
 */
export function overlaps(a: string, b: string): boolean {
  if (a.includes(':') || b.includes(':')) {
    return false;
  }
  const [left, right] = [readRange(a), readRange(b)];
  if (!left || !right) {
    return true;
  }
  const [leftFirst, rightFirst] = [networkOf(left), networkOf(right)];
  return leftFirst < rightFirst + right.size && rightFirst < leftFirst + left.size;
}

function readRange(text: string): Range | undefined {
  const parts = rangeText.exec(text)?.slice(1) ?? [];
  const octets = parts.slice(0, 4).map(Number);
  const prefix = Number(parts[4] ?? 32);
  if (octets.length < 4 || octets.some((octet) => octet > 255) || prefix > 32) {
    return undefined;
  }
  return { first: octets.reduce((address, octet) => address * 256 + octet, 0), size: 2 ** (32 - prefix) };
}

/** First address of the range that holds `first`. */
function networkOf({ first, size }: Range): number {
  return first - (first % size);
}

function addressText(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}
