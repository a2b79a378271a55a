/** Where a job may go: by its rules, and by what a name has become. */
import { describe, expect, it } from 'vitest';
import type { JobEgress } from '../../../src/contract/job-egress.ts';
import { Guard } from '../../../src/egress/guard.ts';
import { egressVariables, readEgressVariables } from '../../../src/policy/egress-settings.ts';
import { mayReach } from '../../../src/policy/may-reach.ts';
import { plainHost } from '../../../src/policy/plain-host.ts';

const rule = { scheme: 'https', host: 'api.example', port: 443 } as const;
const only: JobEgress = { rules: [rule], any_public: [] };
const guard = (found: readonly string[], { allow = [] as string[], never = [] as string[] } = {}) =>
  new Guard({ egress: only, allow, never, resolve: async () => found });

describe('rules of a job', () => {
  it('let through scheme, host and port that they name, and no other (M-36, M-37)', () => {
    expect(mayReach(only, 'https', 'api.example', 443)).toBe(true);
    expect(mayReach(only, 'https', 'api.example', 8443)).toBe(false);
    expect(mayReach(only, 'https', 'www.api.example', 443)).toBe(false);
    expect(mayReach(only, 'https', 'example', 443)).toBe(false);
  });

  it('of https let no plain http through (M-38)', () => {
    expect(mayReach(only, 'http', 'api.example', 443)).toBe(false);
    expect(mayReach(only, 'http', 'api.example', 80)).toBe(false);
    expect(mayReach({ rules: [], any_public: ['https'] }, 'http', 'api.example', 80)).toBe(false);
  });

  it('let nothing through where there are none (M-39)', () => {
    expect(mayReach({ rules: [], any_public: [] }, 'https', 'api.example', 443)).toBe(false);
  });

  it.each([
    ['API.Example', 'api.example'],
    ['api.example.', 'api.example'],
    ['api.example...', 'api.example'],
    ['127.1', '127.0.0.1'],
    ['0x7f.0.0.1', '127.0.0.1'],
    ['2130706433', '127.0.0.1'],
    ['[2001:DB8:0::1]', '[2001:db8::1]'],
    ['[::ffff:127.0.0.1]', '[::ffff:7f00:1]'],
  ])('know the host %s in one way to write it', (given, plain) => {
    expect(plainHost(given)).toBe(plain);
  });

  it.each(['', '.', 'a b', 'a%2eb', 'a@b', 'a/b', 'exämple', '[::1%25eth0]', '[::1', '999.999.999.999'])(
    'do not know %j as a host',
    (given) => {
      expect(plainHost(given)).toBeUndefined();
    },
  );
});

describe('addresses of a place', () => {
  const place = { host: 'api.example', port: 443 };

  it.each([
    ...['127.0.0.1', '10.1.2.3', '169.254.169.254', '172.17.0.1', '192.168.1.1', '100.64.0.1', '0.0.0.0', '224.0.0.1'],
    ...['255.255.255.255', '::1', '::', 'fe80::1', 'fd00::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '2002:7f00:1::1'],
    ...['2001:0:0:1::1', 'ff02::1'],
  ])('are refused where one is %s', async (address) => {
    await expect(guard([address]).addressesOf(place)).rejects.toMatchObject({ reason: 'private_address' });
    await expect(guard(['1.1.1.1', address]).addressesOf(place)).rejects.toMatchObject({ reason: 'private_address' });
  });

  it('are those of the very moment', async () => {
    const answers = [['1.1.1.1'], ['127.0.0.1']];
    const changing = new Guard({ egress: only, allow: [], resolve: async () => answers.shift() ?? [] });

    expect(await changing.addressesOf(place)).toEqual(['1.1.1.1']);
    await expect(changing.addressesOf(place)).rejects.toMatchObject({ reason: 'private_address' });
  });

  it('may be private where the operator lists them, but for what stays closed', async () => {
    expect(await guard(['10.1.2.3'], { allow: ['10.0.0.0/8'] }).addressesOf(place)).toEqual(['10.1.2.3']);
    expect(await guard(['10.1.2.3'], { allow: ['api.example:443'] }).addressesOf(place)).toEqual(['10.1.2.3']);
    const closed = guard(['10.1.2.3'], { allow: ['10.0.0.0/8', 'api.example:443'], never: ['10.1.0.0/16'] });
    await expect(closed.addressesOf(place)).rejects.toMatchObject({ reason: 'private_address' });
  });

  it('are not asked for where the place is an address', async () => {
    const literal = { host: '[fd00::1]', port: 443 };

    await expect(guard(['1.1.1.1']).addressesOf(literal)).rejects.toMatchObject({ reason: 'private_address' });
    expect(await guard([]).addressesOf({ host: '1.1.1.1', port: 443 })).toEqual(['1.1.1.1']);
  });
});

describe('the variables of a proxy', () => {
  it('hold as many rules as a job may have, none of them too large for a kernel', () => {
    const rules = Array.from({ length: 1024 }, (_, index) => ({ ...rule, host: `${'a'.repeat(63)}.${index}.example` }));
    const settings = { egress: { rules, any_public: [] }, allow: ['10.0.0.0/8'], never: [], listen_in: '10.1.0.0/28' };
    const variables = egressVariables(settings);

    expect(Math.max(...variables.map((each) => each.length))).toBeLessThan(100_000);
    const env = Object.fromEntries(variables.map((each) => [each.split('=')[0], each.slice(each.indexOf('=') + 1)]));
    expect(readEgressVariables(env)).toEqual(settings);
  });

  it('are refused where a piece of them is missing', () => {
    expect(() => readEgressVariables({})).toThrow();
    expect(() => readEgressVariables({ GPUAAS_EGRESS_0: '{"egress":{"rules":[]}}' })).toThrow();
  });
});
