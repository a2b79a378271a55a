import { expect, it } from 'vitest';
import { parseRoutes } from '../../../src/gate/host-routes.ts';

it('reads the ranges of a routing table, but the default route', () => {
  const table = [
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    'eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0',
    'docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0',
    'wg0\t10D50D0A\t00000000\t0001\t0\t0\t0\tF0FFFFFF\t0\t0\t0',
    '',
  ].join('\n');

  expect(parseRoutes(table)).toEqual(['172.17.0.0/16', '10.13.213.16/28']);
});
