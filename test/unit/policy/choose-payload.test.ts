import { describe, expect, it } from 'vitest';
import type { PlanPayload } from '../../../src/contract/payload-manifest.ts';
import { choosePayload, payloadKey, whyNoPayload } from '../../../src/policy/choose-payload.ts';

const hash = `sha3:${'0'.repeat(64)}`;
const payload = (name: string, platform?: PlanPayload['platform']): PlanPayload => ({
  ...{ urls: [`https://example.com/${name}`], hash },
  ...(platform && { platform }),
});
const nameOf = (found: PlanPayload | undefined) => found?.urls[0]?.split('/').at(-1);

describe('the image of a host', () => {
  const intel = payload('intel', { arch: 'x86_64', os: 'linux' });
  const arm = payload('arm', { arch: 'AArch64', os: 'Linux', osVersion: '6' });
  const windows = payload('windows', { arch: 'x86_64', os: 'windows' });

  it.each([
    ['x64', [arm, intel], 'intel'],
    ['x86_64', [windows, intel], 'intel'],
    ['arm64', [intel, arm], 'arm'],
    ['arm64', [payload('amd', { arch: 'amd64', os: 'linux' }), payload('any'), arm], 'any'],
    ['x64', [payload('amd', { arch: 'amd64', os: 'linux' }), intel], 'amd'],
    ['riscv64', [payload('riscv', { arch: 'riscv64', os: 'linux' }), payload('any')], 'any'],
    ['x64', [arm, windows], undefined],
  ])('on %s is the first that is for it (M-10, M-11, M-12, M-15)', (arch, all, expected) => {
    expect(nameOf(choosePayload(all, arch))).toBe(expected);
  });

  it('is missed with what there is (M-15)', () => {
    expect(whyNoPayload([arm, windows, arm], 'x64')).toBe(
      'is for Linux on AArch64, windows on x86_64, and this host is linux on x86_64',
    );
  });

  it('is kept under its hash, however that is written', () => {
    expect(payloadKey('sha3:ABCD')).toBe(payloadKey('sha3:abcd'));
    expect(payloadKey('sha3:abcd')).not.toBe(payloadKey('sha3:abce'));
  });
});
