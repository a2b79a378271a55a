import type { NetworkInterfaceInfo } from 'node:os';
import { expect, it } from 'vitest';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { networkCheck } from '../../../../src/host/doctor/network-check.ts';
import { patience, pretendRoot } from '../stand-ins.ts';

const pool = '10.213.0.0/16';

it('passes a pool that nothing else uses; the default route covers everything and says nothing', async () => {
  expect(
    await diagnose(['eth0 10.2.0.0/24', 'docker0 172.17.0.0/16', 'eth0 0.0.0.0/0', 'tun0 10.212.0.0/16']),
  ).toMatchObject({
    status: 'ok',
  });
});

it.each([
  ['the pool itself', 'tun0 10.213.0.0/16'],
  ['more than the pool', 'tun0 10.0.0.0/8'],
])('fails when a route covers %s: no network can be made', async (_, route) => {
  const [via, cidr] = route.split(' ');

  const result = await diagnose([route]);

  expect(result).toMatchObject({ status: 'fail', found: `${pool} overlaps ${cidr} on ${via}.` });
  expect(result?.fix).toContain('network_pool');
});

it('goes by the routes alone where a service may not ask for addresses', async () => {
  const forbidden = () => {
    throw Object.assign(new Error('uv_interface_addresses returned Unknown system error 97'), {
      code: 'ERR_SYSTEM_ERROR',
    });
  };
  const root = pretendRoot({ 'proc/net/route': routeTable(['tun0 10.0.0.0/8']) });

  const [found] = await runChecks([networkCheck({ pool, root, interfaces: forbidden })], { signal: patience });

  expect(found).toMatchObject({ status: 'fail', found: `${pool} overlaps 10.0.0.0/8 on tun0.` });
});

it.each([
  ['a part of the pool', 'eth1 10.213.4.0/24'],
  ['its first address', 'eth1 10.213.0.0/32'],
  ['its last address', 'eth1 10.213.255.255/32'],
  ['a part that is too large for a workload', 'br-0123456789ab 10.213.0.0/20'],
  ['a part through no bridge of the engine', 'eth1 10.213.0.16/28'],
])('warns when a route takes %s', async (_, route) => {
  const [via, cidr] = route.split(' ');

  expect(await diagnose([route])).toMatchObject({ status: 'warn', found: `${pool} overlaps ${cidr} on ${via}.` });
});

it('does not mistake the networks of running workloads for strangers', async () => {
  const running = ['br-0123456789ab 10.213.0.16/28', 'br-ba9876543210 10.213.7.240/28'];

  expect(await diagnose(running)).toMatchObject({ status: 'ok' });
});

it('sees an address that has no route of its own', async () => {
  const result = await diagnose([], { wg0: [address('10.213.9.1/32')], lo: [address('127.0.0.1/8')] });

  expect(result).toMatchObject({ status: 'warn', found: `${pool} overlaps 10.213.9.1/32 on wg0.` });
});

async function diagnose(routes: readonly string[], interfaces: Record<string, NetworkInterfaceInfo[]> = {}) {
  const root = pretendRoot({ 'proc/net/route': routeTable(routes) });
  const [result] = await runChecks([networkCheck({ pool, root, interfaces: () => interfaces })], { signal: patience });
  return result;
}

/** As the kernel writes it: addresses in hexadecimal, bytes in reverse, padded columns. */
function routeTable(routes: readonly string[]): string {
  const lines = routes.map((route) => {
    const [via = '', cidr = ''] = route.split(' ');
    const [network = '', prefix = '0'] = cidr.split('/');
    const mask = Buffer.alloc(4);
    mask.writeUInt32BE(prefix === '0' ? 0 : (0xffffffff << (32 - Number(prefix))) >>> 0);
    const hex = (bytes: Buffer) => Buffer.from(bytes).reverse().toString('hex').toUpperCase();
    const destination = hex(Buffer.from(network.split('.').map(Number)));
    return `${via}\t${destination}\t00000000\t0001\t0\t0\t0\t${hex(mask)}\t0\t0\t0${' '.repeat(40)}`;
  });
  return ['Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT', ...lines, ''].join(
    '\n',
  );
}

function address(cidr: string): NetworkInterfaceInfo {
  const [host = ''] = cidr.split('/');
  return { address: host, cidr, family: 'IPv4', internal: false, mac: '00:00:00:00:00:00', netmask: '' };
}
