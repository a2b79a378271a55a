import { describe, expect, it } from 'vitest';
import { judge } from '../../../src/contract/validate.ts';
import { ContainerRequest } from '../../../src/policy/container-request.ts';
import {
  type CardWays,
  cardRequest,
  cardsLabel,
  composeCards,
  giveCards,
  noCards,
} from '../../../src/policy/given-cards.ts';
import { plainWays, sampleGpu } from '../../support/gpus.ts';
import { acceptedRequest } from './samples.ts';

const nvidia = [sampleGpu({ uuid: 'GPU-b' }), sampleGpu({ uuid: 'GPU-a' })];
const amd = [sampleGpu({ uuid: 'GPU-9', vendor: 'amd' }), sampleGpu({ uuid: 'GPU-8', vendor: 'amd' })];
const amdWays: CardWays = {
  ...plainWays,
  computeGroup: 109,
  renderNodes: new Map([
    ['GPU-8', { path: '/dev/dri/renderD128', group: 109 }],
    ['GPU-9', { path: '/dev/dri/renderD129', group: 44 }],
  ]),
};

describe('how cards are given', () => {
  it('names NVIDIA cards by UUID, never by a count: exactly the one that was leased (G-177)', () => {
    const [one] = nvidia;
    const given = giveCards(one ? [one] : [], plainWays, 'runc') ?? noCards;

    expect(cardRequest(given)).toEqual({
      DeviceRequests: [{ Driver: 'nvidia', DeviceIDs: ['GPU-b'], Capabilities: [['gpu', 'compute', 'utility']] }],
    });
    expect(composeCards(given)).toEqual({
      deploy: {
        resources: {
          reservations: {
            devices: [{ driver: 'nvidia', device_ids: ['GPU-b'], capabilities: ['gpu', 'compute', 'utility'] }],
          },
        },
      },
    });
  });

  it('uses CDI where a spec of the host names every card, and only there', () => {
    const both = {
      ...plainWays,
      cdiNames: new Set(['nvidia.com/gpu=GPU-a', 'nvidia.com/gpu=GPU-b', 'nvidia.com/gpu=all']),
    };
    const one = { ...plainWays, cdiNames: new Set(['nvidia.com/gpu=GPU-a', 'nvidia.com/gpu=all']) };

    expect(cardRequest(giveCards(nvidia, both, 'runc') ?? noCards)).toEqual({
      DeviceRequests: [
        { Driver: 'cdi', DeviceIDs: ['nvidia.com/gpu=GPU-a', 'nvidia.com/gpu=GPU-b'], Capabilities: [['gpu']] },
      ],
    });
    expect(giveCards(nvidia, one, 'runc')).toMatchObject({ by: 'nvidia_ids', uuids: ['GPU-a', 'GPU-b'] });
  });

  it('gives them to gVisor by their ids, also where a CDI spec names them', () => {
    const named = { ...plainWays, cdiNames: new Set(['nvidia.com/gpu=GPU-a', 'nvidia.com/gpu=GPU-b']) };

    expect(giveCards(nvidia, named, 'gvisor')).toMatchObject({ by: 'nvidia_ids', uuids: ['GPU-a', 'GPU-b'] });
  });

  it('gives AMD cards as the compute device, their render nodes and the groups that own them (G-201)', () => {
    const given = giveCards(amd, amdWays, 'runc') ?? noCards;

    expect(cardRequest(given)).toEqual({
      Devices: ['/dev/kfd', '/dev/dri/renderD128', '/dev/dri/renderD129'].map((path) => ({
        ...{ PathOnHost: path, PathInContainer: path, CgroupPermissions: 'rw' },
      })),
      GroupAdd: ['44', '109'],
    });
    expect(composeCards(given)).toEqual({
      devices: [
        ...['/dev/kfd:/dev/kfd:rw', '/dev/dri/renderD128:/dev/dri/renderD128:rw'],
        '/dev/dri/renderD129:/dev/dri/renderD129:rw',
      ],
      group_add: ['44', '109'],
    });
    expect(cardsLabel(given)).toBe('GPU-8,GPU-9');
  });

  it('never adds the group of root, and gives no AMD card whose device is not there', () => {
    const rootOwned: CardWays = {
      ...amdWays,
      computeGroup: 0,
      renderNodes: new Map([['GPU-8', { path: '/dev/dri/renderD128', group: 0 }]]),
    };

    expect(
      cardRequest(giveCards([sampleGpu({ uuid: 'GPU-8', vendor: 'amd' })], rootOwned, 'runc') ?? noCards),
    ).not.toHaveProperty('GroupAdd');
    expect(giveCards(amd, rootOwned, 'runc')).toBeUndefined();
    expect(giveCards(amd, { ...amdWays, computeGroup: undefined }, 'runc')).toBeUndefined();
  });

  it('asks for nothing without cards', () => {
    expect(cardRequest(noCards)).toEqual({});
    expect(composeCards(noCards)).toEqual({});
    expect(giveCards([], plainWays, 'runc')).toEqual(noCards);
  });

  it.each([nvidia, amd])('writes what the allow-list of the gate takes', (...cards) => {
    const { request } = acceptedRequest();
    const given = giveCards(cards, amdWays, 'runc') ?? noCards;
    const asked = { ...request, HostConfig: { ...request.HostConfig, ...cardRequest(given) } };

    expect(judge(ContainerRequest, asked)).toMatchObject({ ok: true });
  });
});
