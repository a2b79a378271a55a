import { describe, expect, it } from 'vitest';
import { lifecycles, trusts } from '../../../../src/server/db/entities/artifact.ts';
import { fittingArtifacts } from '../../../../src/server/launch/artifact-fitness.ts';
import { environmentOf } from '../../../../src/server/launch/environment.ts';
import { sampleGpu } from '../../../support/gpus.ts';
import { anArtifact, settings } from '../../../support/launch-samples.ts';
import { jupyterProfile } from '../../../support/profiles.ts';

const environment = environmentOf(settings);
const images = [
  anArtifact({ id: 'cpu' }),
  anArtifact({ id: 'h200', name: 'runtime-nvidia-h200', digest: `sha256:${'b'.repeat(64)}` }),
  anArtifact({ id: 'rocm', name: 'runtime-amd-rocm', digest: `sha256:${'c'.repeat(64)}` }),
  anArtifact({ id: 'other', name: 'runtime-tpu', digest: `sha256:${'d'.repeat(64)}` }),
];

function offered(gpu_count: number, names: readonly string[], artifacts = images): string[] {
  const cards = names.map((name) => sampleGpu({ name, vendor: name.startsWith('AMD') ? 'amd' : 'nvidia' }));
  return fittingArtifacts(jupyterProfile(), artifacts, environment, { gpu_count, cards, lock: undefined }).map(
    ({ id }) => id,
  );
}

describe('fittingArtifacts', () => {
  it('offers the primary image without cards, and the image of the cards with them (G-61)', () => {
    expect(offered(0, [])).toEqual(['cpu']);
    expect(offered(0, ['NVIDIA H200'])).toEqual(['cpu']);
    expect(offered(1, ['NVIDIA H200'])).toEqual(['h200']);
    expect(offered(1, ['AMD Instinct MI300X'])).toEqual(['rocm']);
  });

  it('offers the primary image for cards that no image is made for', () => {
    expect(offered(1, ['NVIDIA L4'])).toEqual(['cpu']);
    expect(offered(1, ['NVIDIA H200'], [anArtifact({ id: 'cpu' })])).toEqual(['cpu']);
  });

  const promoted = (channel: 'dev' | 'prod', digest = images[0]?.digest ?? '') =>
    anArtifact({
      ...{ id: 'cpu', lifecycle: 'promoted' },
      promotions: [{ channel, digest, actor: 'token-1', at: '2026-11-25T10:00:00.000Z', correlation_id: 'c' }],
    });

  it.each([
    ['nothing that is promoted to another channel', [promoted('dev')], []],
    ['what is promoted to its channel', [promoted('prod')], ['cpu']],
    ['nothing whose promotion was of another image', [promoted('prod', `sha256:${'9'.repeat(64)}`)], []],
    ['nothing that is published only', [anArtifact({ lifecycle: 'published' })], []],
  ])('offers in an environment of one channel %s (G-110, X-7)', (_what, artifacts, ids) => {
    const strict = environmentOf({ ...settings, artifactPolicy: 'promoted', artifactChannel: 'prod' });

    expect(
      fittingArtifacts(jupyterProfile(), artifacts, strict, { gpu_count: 0, cards: [], lock: null }).map(
        ({ id }) => id,
      ),
    ).toEqual(ids);
  });

  it.each(lifecycles.flatMap((lifecycle) => trusts.map((trust) => [lifecycle, trust] as const)))(
    'offers %s and %s only where it may be launched (X-6)',
    (lifecycle, trust) => {
      const may = (lifecycle === 'published' || lifecycle === 'promoted') && trust === 'verified';

      expect(offered(0, [], [anArtifact({ id: 'cpu', lifecycle, trust })])).toEqual(may ? ['cpu'] : []);
    },
  );
});
