/** What is a public address: the same to all who ask, and read as Node reads it. */
import { isIP } from 'node:net';
import { expect, it } from 'vitest';
import { addressOfHost, isPublicAddress } from '../../../src/policy/public-address.ts';

it.each([
  '1.1.1.1',
  '8.8.8.8',
  '100.63.255.255',
  '100.128.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '2606:4700::1111',
  '2a00::1.2.3.4',
])('%s is public', (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

it.each([
  ...[
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '127.255.255.254',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.9.9',
  ],
  ...['192.168.1.1', '198.18.0.1', '224.0.0.1', '255.255.255.255', '192.0.0.192', '168.63.129.16', '100.100.100.200'],
  ...[
    '::',
    '::1',
    'fe80::1',
    'fc00::1',
    'fd00:ec2::254',
    'ff02::1',
    '::ffff:8.8.8.8',
    '64:ff9b::808:808',
    '2002:808:808::',
  ],
  ...['2001:db8::1', '2001::1', '3fff::1', 'fe80::1%eth0', '2606:4700::1111%1'],
  ...[
    '',
    'localhost',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '256.1.1.1',
    '0x8.8.8.8',
    ':',
    ':::',
    '1::2::3',
    '[2606:4700::1111]',
  ],
])('%j is not', (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

it('tells an address that stands in a URL from a name', () => {
  const hosts = [
    'http://0x7f.1/',
    'http://[::1]:80/',
    'http://2130706433/',
    'http://example.com/',
    'http://1.example/',
  ];

  expect(hosts.map((url) => addressOfHost(new URL(url).hostname))).toEqual([
    ...['127.0.0.1', '::1', '127.0.0.1'],
    ...[undefined, undefined],
  ]);
});

it('reads what Node reads, and nothing else', () => {
  let seed = 7;
  const next = (most: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * most);
  };
  const pieces = ['::', ':', '.', '0', '1', '9', '255', 'ffff', '2001', '20', 'a', '%', '1.2.3.4', ':0:0'];
  const texts = Array.from({ length: 20_000 }, () =>
    Array.from({ length: 1 + next(9) }, () => pieces[next(pieces.length)]).join(''),
  );
  const wrong = texts.filter((text) => {
    const isRead = addressOfHost(text) !== undefined;
    return isRead !== (isIP(text) !== 0 && !text.includes('%'));
  });

  expect(wrong).toEqual([]);
  expect(texts.filter((text) => isIP(text) !== 0).length).toBeGreaterThan(100);
});
