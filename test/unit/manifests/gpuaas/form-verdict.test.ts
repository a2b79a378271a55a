/** Form, server and JSON Schema say the same of the same value: over arbitrary schemas and arbitrary values. */
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judge } from '../../../../src/contract/validate.ts';
import { judgeAnswers, type LaunchAnswers, launchRequest } from '../../../../src/manifests/gpuaas/form-answers.ts';
import { formModel } from '../../../../src/manifests/gpuaas/form-model.ts';
import { maxText } from '../../../../src/manifests/gpuaas/judge-parameter.ts';
import type { ParameterProperty } from '../../../../src/manifests/gpuaas/parameter-schema.ts';
import type { WorkloadProfile } from '../../../../src/manifests/gpuaas/profile.ts';
import { readProfile } from '../../../../src/manifests/gpuaas/read-profile.ts';
import { isResource } from '../../../../src/manifests/gpuaas/resolve-values.ts';
import { checkLaunch } from '../../../../src/server/launch/checks.ts';
import { LaunchRequest } from '../../../../src/server/launch/launch-request.ts';
import { allocationId, aVersion, launchFacts } from '../../../support/launch-samples.ts';
import { jupyterDocument, jupyterProfile } from '../../../support/profiles.ts';

/** Text of letters and of what counts wrongly where units are counted in place of characters. */
const text = fc.string({
  unit: fc.constantFrom('a', '1', '.', ' ', 'é', 'e\u0301', '😀', '\ud83d', '\u0000', '👩‍👩‍👧'),
  maxLength: 9,
});
const number = fc.oneof(
  fc.integer({ min: -5, max: 12 }),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -5, max: 12 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(-0, 0.1 + 0.2, Number.MAX_SAFE_INTEGER + 1, 1e308, -1e308, 5e-324),
);
const value = fc.oneof(
  { weight: 4, arbitrary: number },
  { weight: 4, arbitrary: text },
  fc.boolean(),
  fc.constantFrom<unknown>(null, [], {}, 'NaN', 'Infinity', '1e999', '8888', 'true', Number.NaN, Infinity, [1], {}),
);

const bound = fc.option(fc.oneof(fc.integer({ min: -4, max: 10 }), fc.constantFrom(0.5, 2.5)), { nil: undefined });
const length = fc.option(fc.integer({ min: 0, max: 6 }), { nil: undefined });
const choices = <T>(one: fc.Arbitrary<T>) =>
  fc.option(fc.uniqueArray(one, { minLength: 1, maxLength: 4 }), { nil: undefined });
const property: fc.Arbitrary<object> = fc.oneof(
  fc.record({
    type: fc.constant('string'),
    minLength: length,
    maxLength: length,
    enum: choices(text),
    default: fc.option(text, { nil: undefined }),
  }),
  fc.record({
    type: fc.constantFrom('integer', 'number'),
    minimum: bound,
    maximum: bound,
    enum: choices(number),
    default: fc.option(number, { nil: undefined }),
  }),
  fc.record({ type: fc.constant('boolean'), default: fc.option(fc.boolean(), { nil: undefined }) }),
);
/** No name that the platform knows: those have bounds of their own. */
const names = ['alpha', 'beta_2', 'constructor', 'to_string', 'gamma'] as const;

const base = jupyterDocument();

/** A profile that registration accepts, and values for some of its parameters. */
const asked = fc
  .record({
    properties: fc.dictionary(fc.constantFrom(...names), property, { minKeys: 1, maxKeys: 4 }),
    required: fc.subarray([...names]),
    values: fc.dictionary(fc.constantFrom(...names, 'stranger'), value, { maxKeys: 5 }),
  })
  .map(({ properties, required, values }) => {
    const schema = JSON.parse(
      JSON.stringify({
        type: 'object',
        properties,
        required: required.filter((name) => Object.hasOwn(properties, name)),
      }),
    );
    const read = readProfile({ ...base, parameters: { schema } });
    return { read, schema, values: { ...values } };
  })
  .filter(({ read }) => read.ok)
  .map(({ read, ...rest }) => ({ ...rest, profile: (read as { profile: WorkloadProfile }).profile }));

/** What JSON Schema itself says, with the bound that every text has. */
function schemaTakes(schema: { properties: Record<string, ParameterProperty> }, values: object): boolean {
  const properties = Object.fromEntries(
    Object.entries(schema.properties).map(([name, each]) => [
      name,
      each.type === 'string' ? { ...each, maxLength: each.maxLength ?? maxText } : each,
    ]),
  );
  // The meta-schema takes longer than all the rest, and registration has judged the schema already.
  const ajv = new Ajv({ useDefaults: true, strict: false, ownProperties: true, meta: false, validateSchema: false });
  return ajv.compile({ ...schema, properties, additionalProperties: false })(
    Object.assign(Object.create(null), values),
  );
}

/** True if the server takes the request: its form, and its values. */
function serverTakes(profile: WorkloadProfile, body: unknown): boolean {
  const judged = judge(LaunchRequest, JSON.parse(JSON.stringify(body)));
  if (!judged.ok) return false;
  const checked = checkLaunch(
    launchFacts({ request: judged.value, profile, version: aVersion({ manifest: profile }) }),
  );
  return checked.ok || !checked.refusals.some(({ code }) => code === 'launch.values_invalid');
}

function formTakes(profile: WorkloadProfile, answers: LaunchAnswers): boolean {
  return judgeAnswers(profile, answers).length === 0;
}

const answersAsSent = {
  ...{ project_id: 'p1', access_credential_id: 'c1', service_account_id: 's1', artifact_id: 'artifact-cpu' },
  secrets: { hub_token: { credential_id: 'c2' } },
};
const placed = { target_allocation_id: allocationId, artifact_id: 'artifact-cpu' };

describe('one verdict', () => {
  /** Both verdicts were given often, so neither side says the same to everything. */
  function counted() {
    const seen = { yes: 0, no: 0 };
    return {
      count: (said: boolean) => {
        seen[said ? 'yes' : 'no'] += 1;
      },
      expectBoth: () => expect(Math.min(seen.yes, seen.no)).toBeGreaterThan(20),
    };
  }

  it('comes from form, server and JSON Schema, whatever the schema and the values (G-35 to G-44)', () => {
    const { count, expectBoth } = counted();
    fc.assert(
      fc.property(asked, ({ profile, schema, values }) => {
        const answers = { ...placed, config: values, resource_overrides: {} };
        const said = formTakes(profile, answers);
        count(said);
        const body = launchRequest(profile, '1', answers);

        expect({ form: said, schema: schemaTakes(schema, values) }).toEqual({ form: said, schema: said });
        // JSON has no NaN and no infinity: it sends null, which no parameter takes either.
        expect({ form: said, server: serverTakes(profile, body) }).toEqual({ form: said, server: said });
        if (said) expect(judge(LaunchRequest, body)).toMatchObject({ ok: true });
      }),
      { numRuns: 200 },
    );
    expectBoth();
  });

  it('comes for JupyterLab as well, whose parameters have bounds of the platform beside their own (G-37 to G-44)', () => {
    const profile = jupyterProfile();
    const { properties } = profile.parameters.schema;
    const likely = fc.oneof(
      value,
      fc.constantFrom<unknown>(0, 1, 2, 3, 4, 1023, 1024, 8888, 65_535, 65_536, 8888.5, 'scratch', 'nfs', 'private'),
      fc.constantFrom<unknown>('numpy==2.4.4 pandas>=2.2', 'numpy == 2.4.4', '-r x', ' \n', 'a'.repeat(4097)),
    );
    const { count, expectBoth } = counted();
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...Object.keys(properties)), likely, { maxKeys: 3 }), (values) => {
        const entries = Object.entries(values);
        const answers = {
          ...placed,
          config: Object.fromEntries(entries.filter(([name]) => !isResource(name))),
          resource_overrides: Object.fromEntries(entries.filter(([name]) => isResource(name))),
        };
        const said = formTakes(profile, answers);
        count(said);

        expect(serverTakes(profile, launchRequest(profile, '1', answers))).toBe(said);
        if (said) expect(schemaTakes(profile.parameters.schema, { ...values })).toBe(true);
      }),
      { numRuns: 100 },
    );
    expectBoth();
  });

  it('comes for text without a bound of its own: as long as a request may carry', () => {
    const profile = jupyterProfile({
      '/parameters/schema/properties/alpha': { type: 'string' },
      '/parameters/ui': undefined,
    });
    const said = [maxText, maxText + 1].map((characters) => {
      const answers = { ...placed, config: { alpha: '😀'.repeat(characters) }, resource_overrides: {} };
      return [formTakes(profile, answers), serverTakes(profile, launchRequest(profile, '1', answers))];
    });

    expect(said).toEqual([
      [true, true],
      [false, false],
    ]);
  });

  it('comes for all that only the platform fills in: the request has the form that the server takes (G-12, G-62, G-63)', () => {
    const profile = jupyterProfile({ '/parameters/secrets': [{ name: 'hub_token', title: 'Hub token' }] });
    const answers = {
      ...{ ...placed, project_id: 'p1', access_credential_id: 'c1', service_account_id: 's1', display_name: 'Mine' },
      ...{ config: { host_port: 9000 }, resource_overrides: { gpu_count: 0 } },
      secrets: { hub_token: { credential_id: 'c2' } },
    };

    expect(judgeAnswers(profile, answers)).toEqual([]);
    expect(judge(LaunchRequest, launchRequest(profile, '1', answers))).toMatchObject({
      ok: true,
      value: answersAsSent,
    });
  });

  it('comes for secrets and for the name', () => {
    const profile = jupyterProfile({ '/parameters/secrets': [{ name: 'hub_token', title: 'Hub token' }] });
    fc.assert(
      fc.property(
        fc.oneof(text, fc.string({ maxLength: 140 })),
        fc.oneof(text, fc.string({ minLength: 1 })),
        (display_name, hub_token) => {
          const answers = { ...placed, display_name, config: {}, resource_overrides: {}, secrets: { hub_token } };

          expect(serverTakes(profile, launchRequest(profile, '1', answers))).toBe(formTakes(profile, answers));
        },
      ),
    );
  });
});

describe('every keyword that registration takes', () => {
  it('is shown by the form (G-34, G-35)', () => {
    const profile = jupyterProfile({
      '/parameters/schema/title': 'Settings',
      '/parameters/schema/description': 'of the app.',
      '/parameters/schema/properties/all': {
        title: 'All',
        description: 'Help.',
        type: 'string',
        enum: ['ab', 'abc'],
        default: 'ab',
        minLength: 2,
        maxLength: 3,
      },
      '/parameters/schema/properties/amount': { type: 'number', minimum: 1, maximum: 2 },
      '/parameters/ui': { order: ['all', 'amount'] },
    });
    const { note, steps } = formModel(profile);
    const fields = steps.flatMap(({ components }) =>
      components.flatMap((each) => (each.kind === 'field' ? [each.field] : [])),
    );

    expect(note).toBe('Settings: of the app.');
    expect(fields.slice(0, 2)).toMatchObject([
      {
        label: 'All',
        help: 'Help.',
        control: 'select',
        options: ['ab', 'abc'],
        default: 'ab',
        min_length: 2,
        max_length: 3,
      },
      { control: 'number', minimum: 1, maximum: 2 },
    ]);
  });

  it.each([
    'pattern',
    'format',
    'const',
    'multipleOf',
    'exclusiveMinimum',
    'exclusiveMaximum',
    '$ref',
    'oneOf',
    'anyOf',
    'allOf',
    'not',
    'if',
    'items',
    'properties',
    'dependentRequired',
    'readOnly',
    'examples',
    'contentEncoding',
    'nullable',
  ])('is one of few: %s is refused, with its path', (keyword) => {
    const path = `/parameters/schema/properties/host_port/${keyword}`;
    const read = readProfile(jupyterDocument({ [path]: 1 }));

    expect(read).toMatchObject({ ok: false, errors: [{ path, code: 'unknown_key' }] });
  });

  it.each(['patternProperties', '$defs', 'oneOf', 'dependentSchemas', 'propertyNames', 'minProperties'])(
    'is one of few in the schema itself: %s is refused, with its path',
    (keyword) => {
      const path = `/parameters/schema/${keyword}`;

      expect(readProfile(jupyterDocument({ [path]: {} }))).toMatchObject({
        ok: false,
        errors: [{ path, code: 'unknown_key' }],
      });
    },
  );
});
