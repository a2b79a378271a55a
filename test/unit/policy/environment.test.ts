import { describe, expect, it } from 'vitest';
import { checkEnvironment, describeBadImageEnv, neutralised, whyForbidden } from '../../../src/policy/environment.ts';

describe('checkEnvironment', () => {
  it.each([
    ...['LD_PRELOAD', 'LD_LIBRARY_PATH', 'LD_AUDIT', 'LD_', 'GLIBC_TUNABLES', 'GCONV_PATH', 'LOCPATH', 'MALLOC_TRACE'],
    ...['NVIDIA_VISIBLE_DEVICES', 'NVIDIA_DRIVER_CAPABILITIES', 'NVIDIA_DISABLE_REQUIRE', 'NVIDIA_'],
    ...['CUDA_VISIBLE_DEVICES', 'HIP_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES', 'AMD_VISIBLE_DEVICES'],
    ...['ASCEND_VISIBLE_DEVICES', 'VISIBLE_DEVICES', 'GPU_DEVICE_ORDINAL', 'GETCONF_DIR', 'NLSPATH', 'HOSTALIASES'],
  ])('refuses %s, which loader or device runtimes obey', (name) => {
    expect(checkEnvironment({ FINE: '1', [name]: 'canary' }, '/env')).toEqual([
      { path: `/env/${name}`, code: 'forbidden_variable', message: expect.not.stringContaining('canary') },
    ]);
  });

  it.each([
    'HOME',
    'PATH',
    'TMPDIR',
    'PIP_INDEX_URL',
    'JUPYTER_PREFER_ENV_PATH',
    'OLD_LD',
    'MY_NVIDIA_X',
    'DOCKER_HOST',
    '_',
  ])('lets %s be (G-74)', (name) => {
    expect(checkEnvironment({ [name]: 'x=y\nz' }, '/env')).toEqual([]);
  });

  it.each(['', 'A=B', 'A\0', '1A', 'A-B', 'A B', '\u00c4', 'A\n', '=', `A${'a'.repeat(128)}`, 'A/B'])(
    'refuses the name %j',
    (name) => {
      expect(checkEnvironment({ [name]: 'x' }, '/env')).toEqual([expect.objectContaining({ code: 'malformed_name' })]);
    },
  );

  it('refuses a key that would change the object it is put into', () => {
    const env = JSON.parse('{"__proto__": "x"}');

    expect(checkEnvironment(env, '/env')).toEqual([expect.objectContaining({ path: '/env/__proto__' })]);
  });

  it('refuses a NUL character in a value', () => {
    expect(checkEnvironment({ A: 'x\0LD_PRELOAD=/evil.so' }, '/env')).toEqual([
      expect.objectContaining({ path: '/env/A', code: 'malformed_value' }),
    ]);
  });

  it('escapes the path of an odd name', () => {
    expect(checkEnvironment({ 'a/b~c': 'x' }, '/env')[0]?.path).toBe('/env/a~1b~0c');
  });

  it('keeps packages out of the workspace: PYTHONNOUSERSITE can only be what it is anyway', () => {
    expect(checkEnvironment({ PYTHONNOUSERSITE: '1' }, '/env')).toEqual([]);
    expect(checkEnvironment({ PYTHONNOUSERSITE: '' }, '/env')).toEqual([
      expect.objectContaining({ code: 'reserved_variable' }),
    ]);
  });
});

describe('neutralised', () => {
  it('removes the forbidden variables of an image and keeps cards away', () => {
    expect(
      neutralised(['PATH=/bin', 'LD_PRELOAD=/evil.so', 'NVIDIA_VISIBLE_DEVICES=all', 'NVIDIA_REQUIRE_CUDA=cuda>=1']),
    ).toEqual(['LD_PRELOAD', 'NVIDIA_REQUIRE_CUDA', 'NVIDIA_VISIBLE_DEVICES=void']);
  });

  it('sets no devices also where the image sets nothing', () => {
    expect(neutralised([])).toEqual(['NVIDIA_VISIBLE_DEVICES=void']);
  });

  it('copes with malformed entries: repeated, without value, without name, with odd names', () => {
    expect(neutralised(['LD_A=1', 'LD_A=2', 'LD_B', '=x', '', '=', 'LD_ODD NAME=1', ' LD_C=1'])).toEqual([
      'LD_A',
      'LD_B',
      'LD_ODD NAME',
      'NVIDIA_VISIBLE_DEVICES=void',
    ]);
  });

  it('never lets a variable through that a task may not have', () => {
    const removed = neutralised(['GCONV_PATH=x', 'CUDA_VISIBLE_DEVICES=0']).slice(0, -1);

    expect(removed).toEqual(['CUDA_VISIBLE_DEVICES', 'GCONV_PATH']);
    expect(removed.every((name) => whyForbidden(name) !== undefined)).toBe(true);
  });
});

describe('describeBadImageEnv', () => {
  it('refuses an entry that hides a second one behind a NUL character', () => {
    expect(describeBadImageEnv(['PATH=/bin', 'A=1\0LD_PRELOAD=/evil.so'])).toHaveLength(1);
    expect(describeBadImageEnv(['PATH=/bin', '=x', '', 'multi=1\n2'])).toEqual([]);
  });
});
