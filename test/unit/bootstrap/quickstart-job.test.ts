import { expect, it } from 'vitest';
import { jobOf } from '../../../bootstrap/dev/quickstart-job.ts';
import { readDefinitionText } from '../../../src/manifests/nosana/read-definition.ts';

it('the job of quickstart is valid, with nothing to warn of', () => {
  const definition = jobOf(`127.0.0.1:5000/gpuaas-dev/runtime-cpu@sha256:${'0'.repeat(64)}`);

  expect(readDefinitionText(JSON.stringify(definition))).toMatchObject({ ok: true, warnings: [] });
});
