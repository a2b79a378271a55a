import { expect, it } from 'vitest';
import { type GvisorHost, whyNoneInGvisor } from '../../../src/host/gvisor-cards.ts';
import { sampleGpu } from '../../support/gpus.ts';
import { patience, standIn, testFolder } from './stand-ins.ts';

const hook = '/usr/bin/nvidia-container-runtime-hook';
const script = 'test "$*" = "nvproxy list-supported-drivers" && printf "550.54.15\n570.86.15\n"';

const runscWith = (text: string) => standIn(testFolder(), 'runsc', text);

async function why(args: readonly string[], over: Partial<GvisorHost> = {}, path = runscWith(script)) {
  const programs = new Map([['runsc', { path, args }]]);
  const host = { name: 'runsc', programs, gpus: [sampleGpu()], find: async () => hook, ...over };
  return await whyNoneInGvisor(host, patience);
}

it.each([
  ['--nvproxy'],
  ['-nvproxy'],
  ['--nvproxy=true'],
  ['--network=host', '--nvproxy=1'],
  ['--nvproxy=0', '--nvproxy'],
])('gVisor gets the cards of a host whose driver it knows, where its runtime has %s %s', async (...args) => {
  expect(await why(args)).toBeUndefined();
});

it.each([[], ['--network=host'], ['--nvproxy=false'], ['--nvproxy', '--nvproxy=0'], ['--nvproxy-docker']])(
  'it gets none where its runtime is registered with %s %s',
  async (...args) => {
    expect(await why(args)).toBe('The runtime runsc of the engine is registered without --nvproxy.');
  },
);

it('it gets none where its driver is another, however near', async () => {
  const gpus = [
    sampleGpu(),
    sampleGpu({ uuid: 'GPU-2', driver: '570.86.16' }),
    sampleGpu({ uuid: 'GPU-3', driver: null }),
  ];

  expect(await why(['--nvproxy'], { gpus })).toMatch(
    /runsc does not know the driver 570\.86\.16, without a version\.$/,
  );
});

it('it gets none that it cannot hand on: of AMD, or parts of a card', async () => {
  const gpus = [
    sampleGpu({ vendor: 'amd' }),
    sampleGpu({ uuid: 'MIG-1', mig: { parent: 'GPU-9', profile: '1g.10gb' } }),
  ];

  expect(await why(['--nvproxy'], { gpus })).toContain('no whole card of NVIDIA');
});

it('it gets none where something cannot be asked', async () => {
  expect(await why(['--nvproxy'], { name: undefined })).toContain('offers no gvisor');
  expect(await why(['--nvproxy'], { programs: new Map() })).toContain('does not tell which program');
  expect(await why(['--nvproxy'], { find: async () => null })).toContain('nvidia-container-runtime-hook is not there');
  expect(await why(['--nvproxy'], {}, runscWith('exit 2'))).toContain('does not tell which drivers');
  expect(await why(['--nvproxy'], {}, '/nowhere/runsc')).toContain('does not tell which drivers');
});
