import { describe, expect, it } from 'vitest';
import { readTransfer } from '../../../src/policy/script-transfers.ts';

const mounts = [
  { volume: 'input', path: '/golem/input', read_only: false },
  { volume: 'fixed', path: '/golem/fixed', read_only: true },
  { volume: 'cached', path: '/golem/cached', read_only: false },
];
const plan = {
  volumes: [{ name: 'input' }, { name: 'fixed' }],
  egress: { rules: [{ scheme: 'https' as const, host: 'a.org', port: 443 }], any_public: [] },
};
const read = (from: string, to: string) => readTransfer({ from, to }, { mounts }, plan);

describe('a transfer of a script', () => {
  it('leads from an address into a volume, or out of one (M-34)', () => {
    expect(read('https://a.org/x?k=1#frag', 'container:/golem/input/a/b')).toEqual({
      ok: true,
      transfer: {
        ...{ isInward: true, url: new URL('https://a.org/x?k=1'), path: '/golem/input/a/b' },
        place: { scheme: 'https', host: 'a.org', port: 443 },
        ...{ volume: 'input', inVolume: 'a/b' },
      },
    });
    expect(read('container:/golem/fixed/out', 'https://a.org/put')).toMatchObject({
      ok: true,
      transfer: { isInward: false, inVolume: 'out' },
    });
  });

  it.each([
    ['two addresses', 'https://a.org/x', 'https://a.org/y', '/to'],
    ['two places in the container', 'container:/golem/input/a', 'container:/golem/input/b', '/to'],
    ['a path that climbs', 'https://a.org/x', 'container:/golem/input/../etc', '/to'],
    ['a path with a dot', 'https://a.org/x', 'container:/golem/input/./a', '/to'],
    ['a folder', 'https://a.org/x', 'container:/golem/input/', '/to'],
    ['a volume itself', 'https://a.org/x', 'container:/golem/input', '/to'],
    ['what lies beside the volumes', 'https://a.org/x', 'container:/etc/passwd', '/to'],
    ['a path that only begins like a volume', 'https://a.org/x', 'container:/golem/inputs/a', '/to'],
    ['a relative path', 'https://a.org/x', 'container:golem/input/a', '/to'],
    ['a volume that is only read', 'https://a.org/x', 'container:/golem/fixed/a', '/to'],
    ['a cache', 'https://a.org/x', 'container:/golem/cached/a', '/to'],
    ['a name that no folder can hold', 'https://a.org/x', `container:/golem/input/${'a'.repeat(256)}`, '/to'],
    ['another scheme', 'ftp://a.org/x', 'container:/golem/input/a', '/from'],
    ['a file of the host', 'file:///etc/passwd', 'container:/golem/input/a', '/from'],
    ['an address that is not listed', 'https://b.org/x', 'container:/golem/input/a', '/from'],
    ['a scheme that is not listed', 'http://a.org/x', 'container:/golem/input/a', '/from'],
    ['an address to put to that is not listed', 'container:/golem/input/a', 'https://b.org/x', '/to'],
    ['a user in it', 'https://me@a.org/x', 'container:/golem/input/a', '/from'],
    ['what a URL leaves out when it is read', 'https://a.org\\@b.org/x', 'container:/golem/input/a', '/from'],
  ])('is refused with %s', (_what, from, to, path) => {
    expect(read(from, to)).toMatchObject({ ok: false, errors: [{ path }] });
  });

  it('goes nowhere where the job has no network (M-39)', () => {
    const alone = readTransfer(
      { from: 'https://a.org/x', to: 'container:/golem/input/a' },
      { mounts },
      { volumes: plan.volumes },
    );

    expect(alone).toMatchObject({ ok: false, errors: [{ path: '/from', code: 'not_listed' }] });
  });
});
