/** What is a public address: the same to all who ask, and read as Node reads it. */
import { isIP } from 'node:net';
import { expect, it } from 'vitest';
import { addressOfHost, isPublicAddress } from '../../../src/policy/public-address.ts';
import { otherAddresses, publicAddresses } from '../../support/addresses.ts';

it.each(publicAddresses)('%s is public', (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

it.each(otherAddresses)('%j is not', (address) => {
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
