/** Faults of shape in a profile hide none of meaning, and nothing is told that is gone when they are mended. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { judge } from '../../../../src/contract/validate.ts';
import { WorkloadProfile } from '../../../../src/manifests/gpuaas/profile.ts';
import { readProfile } from '../../../../src/manifests/gpuaas/read-profile.ts';
import { damaged, damages } from '../../../support/damage.ts';
import { type Changes, jupyterDocument, smokeDocument, vllmDocument } from '../../../support/profiles.ts';

const told = (document: unknown) => {
  const read = readProfile(document);
  return read.ok ? [] : read.errors.map(({ path, code }) => `${path} ${code}`);
};
const properties = '/parameters/schema/properties';

const meanings: readonly (readonly [Changes, string])[] = [
  [{ '/artifacts/primary_image': undefined, '/artifacts/other': 1 }, '/artifacts/other type'],
  [{ '/execution/container_env/LD_PRELOAD': 'x' }, '/execution/container_env/LD_PRELOAD forbidden_variable'],
  [{ '/execution/default_engine': 'kubernetes' }, '/execution/default_engine engine_not_active'],
  [{ [`${properties}/gpu_count/type`]: 'string' }, `${properties}/gpu_count/type type`],
  [{ '/parameters/schema/required/0': 'nothing' }, '/parameters/schema/required/0 undeclared'],
  [{ '/parameters/ui/order/0': 'nothing' }, '/parameters/ui/order/0 undeclared'],
  [{ '/storage/mounts/0/path': '/etc' }, '/storage/mounts/0/path system_path'],
  [{ '/validation/readiness/0/endpoint': 'nothing' }, '/validation/readiness/0/endpoint undeclared'],
  [{ '/outputs/endpoints/0/source': 'network.endpoints.nothing' }, '/outputs/endpoints/0/source undeclared'],
];
const documents = [jupyterDocument, vllmDocument, smokeDocument];

it('a wrong type in one place and meanings in all others are told together', () => {
  const wrong = {
    ...{
      '/profile/description': 7,
      '/execution/container_env/A': 1,
      '/unheard_of': 1,
      '/resources/cpu/min_cores': 'many',
    },
    ...{ [`${properties}/exposure_mode/title`]: 7, '/network/endpoints/0/port': 'web' },
  };
  const some = meanings.slice(1, 7).concat(meanings.slice(8));
  const changes = Object.assign({}, ...some.map(([change]) => change));

  expect(told(jupyterDocument({ ...changes, ...wrong }))).toEqual(
    expect.arrayContaining([...some.map(([, error]) => error), '/profile/description type', '/unheard_of unknown_key']),
  );
});

it('what is told of the meaning of a profile is told as well when its shape has been mended', () => {
  const changes = fc.array(fc.constantFrom(...meanings.slice(1)), { maxLength: 4 });
  fc.assert(
    fc.property(fc.constantFrom(...documents), changes, damages, (documentWith, some, wrong) => {
      const mended = documentWith(Object.assign({}, ...some.map(([change]) => change)));
      fc.pre(judge(WorkloadProfile, mended).ok);
      const document = damaged(WorkloadProfile, mended, wrong);
      const judged = judge(WorkloadProfile, document);
      const ofShape = judged.ok ? [] : judged.errors.map(({ path, code }) => `${path} ${code}`);
      const ofMeaning = told(document).filter((error) => !ofShape.includes(error));

      // Of another kind or version nothing else is worth saying.
      fc.pre(!ofMeaning.some((error) => / unsupported_(kind|version)$/.test(error)));
      const after = told(mended);
      expect(
        ofMeaning.filter((error) => !after.includes(error)),
        JSON.stringify(document),
      ).toEqual([]);
    }),
    { numRuns: 100 },
  );
});
