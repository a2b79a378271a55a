import { describe, expect, it } from 'vitest';
import { firstConfig, withGvisorCards } from '../../../src/agent/first-config.ts';

const invitation = {
  allocation_id: 'alloc-1',
  registries: ['registry.example.com'],
  expires_at: '2026-11-26T12:00:00Z',
};
const choices = { user: 'tenant', socketGid: 990, registries: [], gvisor: false, gvisorCards: false, payloads: false };

describe('the first configuration of a host', () => {
  it('serves the allocation of the invitation, for the registries of its control plane', () => {
    expect(JSON.parse(firstConfig(invitation, choices))).toEqual({
      allocation: { id: 'alloc-1', user: 'tenant' },
      gate: { socket_gid: 990 },
      registries: [{ host: 'registry.example.com', prefixes: [''] }],
    });
  });

  it('keeps to the registries that the operator names instead, and to what else he chose', () => {
    const registries = ['a.example.com/curated', 'b.example.com:5000', 'a.example.com/apps/x'];

    const config = JSON.parse(
      firstConfig(invitation, { ...choices, registries, gvisor: true, networkPool: '10.1.0.0/20' }),
    );

    expect(config).toMatchObject({
      registries: [
        { host: 'a.example.com', prefixes: ['curated', 'apps/x'] },
        { host: 'b.example.com:5000', prefixes: [''] },
      ],
      ...{ sandboxes: { runc: 'runc', gvisor: 'runsc' }, network_pool: '10.1.0.0/20' },
    });
  });

  it('lets jobs name images by their hash where its operator chose that', () => {
    expect(JSON.parse(firstConfig(invitation, { ...choices, payloads: true }))).toMatchObject({
      payloads: { max_gib: 20, unpacked_gib: 50 },
    });
  });

  it('offers gVisor with cards as one choice', () => {
    expect(JSON.parse(firstConfig(invitation, { ...choices, gvisorCards: true }))).toMatchObject({
      ...{ sandboxes: { runc: 'runc', gvisor: 'runsc' }, gvisor_cards: true },
    });
  });

  it.each([undefined, null, {}, { ...invitation, allocation_id: '../x' }])('is not made of %j', (wrong) => {
    expect(() => firstConfig(wrong, choices)).toThrow('cannot be used');
  });
});

describe('cards under gVisor', () => {
  const without = '{"allocation": {"id": "a"},\n "registries": []}';
  const changed = (text: string, isOn: boolean) => JSON.parse(withGvisorCards(text, isOn));

  it('are allowed with gVisor itself, and all that the operator has set stays', () => {
    expect(changed(without, true)).toEqual({
      ...{ allocation: { id: 'a' }, registries: [] },
      ...{ sandboxes: { runc: 'runc', gvisor: 'runsc' }, gvisor_cards: true },
    });
    expect(changed('{"sandboxes": {"runc": "crun"}, "gvisor_cards": false}', true)).toEqual({
      ...{ sandboxes: { runc: 'crun', gvisor: 'runsc' }, gvisor_cards: true },
    });
  });

  it('are taken back, and gVisor stays', () => {
    expect(changed(withGvisorCards(without, true), false)).toEqual({
      ...{ allocation: { id: 'a' }, registries: [], sandboxes: { runc: 'runc', gvisor: 'runsc' } },
    });
  });

  it.each([
    ['off', false, without],
    ['off', false, '{ "gvisor_cards":false }'],
    ['on', true, '{ "gvisor_cards":true, "sandboxes":{"gvisor":"runsc"} }'],
  ])('leave a text as it is in which they are %s', (_state, isOn, text) => {
    expect(withGvisorCards(text, isOn)).toBe(text);
  });

  it('are left to an operator who has given gVisor a runtime of his own, and can be forbidden there too', () => {
    const own = '{"sandboxes": {"gvisor": "runsc-kvm"}, "gvisor_cards": true}';

    expect(() => withGvisorCards(own, true)).toThrow('`sandboxes.gvisor` is runsc-kvm, which its operator');
    expect(changed(own, false)).toEqual({ sandboxes: { gvisor: 'runsc-kvm' } });
  });

  it('are not set in what is no JSON', () => {
    for (const text of ['{', 'null', '1', '[]']) expect(() => withGvisorCards(text, true)).toThrow('cannot be used');
  });
});
