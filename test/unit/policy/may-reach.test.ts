import { describe, expect, it } from 'vitest';
import type { JobEgress } from '../../../src/contract/job-egress.ts';
import { mayReach, mayReachUrl } from '../../../src/policy/may-reach.ts';

const egress: JobEgress = {
  rules: [
    { scheme: 'https', host: 'api.example.org', port: 443 },
    { scheme: 'http', host: '[2001:db8::1]', port: 8080 },
  ],
  any_public: [],
};

describe('what a list of addresses lets through', () => {
  it.each([
    ['https://api.example.org/any/path?and=query', true],
    ['https://API.example.org:443', true],
    ['https://api.example.org.', true],
    ['http://[2001:db8::1]:8080/', true],
    ['http://api.example.org', false],
    ['https://api.example.org:8443', false],
    ['https://example.org', false],
    ['https://api.example.org.evil.org', false],
    ['ftp://api.example.org', false],
  ])('%s: %s (M-36, M-37, M-38)', (url, may) => {
    expect(mayReachUrl(egress, new URL(url))).toBe(may);
  });

  it('is nothing without a list (M-39)', () => {
    expect(mayReachUrl(undefined, new URL('https://api.example.org'))).toBe(false);
  });

  it('is every address of a scheme where it says so, and of no other', () => {
    const any: JobEgress = { rules: [], any_public: ['https'] };

    expect([mayReach(any, 'https', 'a.org', 8443), mayReach(any, 'http', 'a.org', 80)]).toEqual([true, false]);
  });
});
