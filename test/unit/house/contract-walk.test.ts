/** Walks every task type, failure code and schema field: what is declared must be handled, shown, tested and documented. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { AgentConfig } from '../../../src/agent/config.ts';
import {
  EnrolAnswer,
  EnrolRequest,
  RegistryCredentialAnswer,
  RegistryCredentialRequest,
  RotateRequest,
  TaskKeyRotation,
} from '../../../src/contract/enrolment.ts';
import { failureCodes, failures } from '../../../src/contract/failures.ts';
import { recordBodies } from '../../../src/contract/records.ts';
import { Release } from '../../../src/contract/release.ts';
import { FromAgent, FromControlPlane } from '../../../src/contract/session-messages.ts';
import { TaskEnvelope, TaskResult } from '../../../src/contract/task-envelope.ts';
import { taskSchemas, taskTypes } from '../../../src/contract/tasks.ts';
import { judge } from '../../../src/contract/validate.ts';
import { WorkloadProfile } from '../../../src/manifests/gpuaas/profile.ts';
import { HostPolicy } from '../../../src/policy/host-policy.ts';
import { taskHandlers } from '../../../src/tasks/index.ts';

const root = resolve(import.meta.dirname, '../../..');
const fileName = (type: string) => type.replaceAll(/[._]/g, '-');

const roots = {
  ...Object.fromEntries(
    taskTypes.flatMap((type) => [
      [`${type} params`, taskSchemas[type].params],
      [`${type} output`, taskSchemas[type].output],
    ]),
  ),
  ...{ envelope: TaskEnvelope, result: TaskResult, config: AgentConfig, policy: HostPolicy },
  'workload profile': WorkloadProfile,
  ...{ FromAgent, FromControlPlane, EnrolRequest, EnrolAnswer, TaskKeyRotation, RotateRequest },
  ...{ RegistryCredentialRequest, RegistryCredentialAnswer, Release },
  ...Object.fromEntries(Object.entries(recordBodies).map(([kind, body]) => [`record ${kind}`, body])),
};

describe.each(taskTypes)('task type %s', (type) => {
  it('has a handler in a file of its own name', () => {
    expect(taskHandlers[type]).toBeTypeOf('function');
    expect(existsSync(join(root, `src/tasks/${fileName(type)}.ts`))).toBe(true);
  });

  it('has its schema in a file of its own name', () => {
    expect(existsSync(join(root, `src/contract/${fileName(type)}.ts`))).toBe(true);
  });

  it('has a fixture that its schema accepts', () => {
    const fixture = JSON.parse(readFileSync(join(root, `fixtures/tasks/${fileName(type)}.json`), 'utf8'));

    expect(fixture.type).toBe(type);
    expect(judge(taskSchemas[type].params, fixture.params)).toEqual({ ok: true, value: fixture.params });
  });

  it('refuses unknown keys with their path', () => {
    const fixture = JSON.parse(readFileSync(join(root, `fixtures/tasks/${fileName(type)}.json`), 'utf8'));

    const judged = judge(taskSchemas[type].params, { ...fixture.params, privileged: true });

    expect(judged).toMatchObject({ ok: false, errors: [{ path: '/privileged', code: 'unknown_key' }] });
  });

  it('has a test of its own name that imports it and shows five behaviours at least', () => {
    const text = readFileSync(join(root, `test/unit/tasks/${fileName(type)}.test.ts`), 'utf8');

    expect(text).toContain(`/src/tasks/${fileName(type)}.ts'`);
    expect([...text.matchAll(/^ *it(\.each)?\(/gm)].length).toBeGreaterThanOrEqual(5);
  });

  it('has a section in docs/tasks.md', () => {
    expect(readFileSync(join(root, 'docs/tasks.md'), 'utf8')).toContain(`## \`${type}\``);
  });
});

describe('failure codes', () => {
  it('are exactly those that docs/failures.md lists, with their kind', () => {
    const text = readFileSync(join(root, 'docs/failures.md'), 'utf8');
    const listed = [...text.matchAll(/^\| `([a-z_.]+)` \| ([a-z_]+) \|/gm)].map(([, code, kind]) => `${code} ${kind}`);

    expect(listed.sort()).toEqual(failureCodes.map((code) => `${code} ${failures[code].kind}`).sort());
  });
});

describe('every schema field', () => {
  it.each(Object.entries(roots))('of %s has a description and refuses unknown keys', (_name, schema) => {
    expect(findGaps(schema, '')).toEqual([]);
  });
});

describe('what may come from a newer side', () => {
  const said = { FromAgent, FromControlPlane, EnrolAnswer, RegistryCredentialAnswer, ...recordBodies };
  const outputs = taskTypes.map((type) => [type, taskSchemas[type].output] as const);

  it.each([...Object.entries(said), ...outputs])(
    'tells by a tag which object %s means where it may be several',
    (_, schema) => {
      // Else a key of the one would be unknown to the other, and be left out of both.
      expect(untaggedChoices(schema)).toEqual([]);
    },
  );

  it('is found where it does not', () => {
    const object = { type: 'object', properties: {} };
    expect(untaggedChoices({ properties: { x: { items: { anyOf: [object, object] } } } })).toEqual([
      '/properties/x/items',
    ]);
  });
});

describe('the schemas that `judge` believes without looking', () => {
  const metaSchema = new Ajv();

  it.each(Object.entries(roots))('%s is one', (_name, schema) => {
    expect(metaSchema.validateSchema(schema)).toBe(true);
  });
});

describe('the walk itself', () => {
  const named = { type: 'string', description: 'a name' };
  const closed = { type: 'object', additionalProperties: false };

  it.each([
    ['a field', { ...closed, properties: { name: { type: 'string' } } }, '/name has no description'],
    ['a union', { ...closed, properties: { name: { anyOf: [named, { type: 'null' }] } } }, '/name has no description'],
    ['an option', { anyOf: [{ ...closed, properties: { name: {} } }] }, '(0)/name has no description'],
    [
      'a nested union',
      { anyOf: [{ anyOf: [{ ...closed, properties: { name: {} } }] }] },
      '(0)(0)/name has no description',
    ],
    ['an item', { type: 'array', items: { ...closed, properties: { name: {} } } }, '[]/name has no description'],
    ['an item of a union', { type: 'array', items: { anyOf: [{ type: 'object' }] } }, '[](0) accepts unknown keys'],
    [
      'two fields',
      { ...closed, properties: { begun: named, name: named } },
      ' describes two fields by the same words: a name',
    ],
    ['an open object', { type: 'object', properties: { name: named } }, ' accepts unknown keys'],
  ])('finds %s that says too little', (_what, schema, gap) => {
    expect(findGaps(schema, '')).toContain(gap);
  });
});

/** Fields without a description of their own and objects that are open, with their paths. */
function findGaps(schema: unknown, path: string): string[] {
  const { description, ...shape } = schema as Record<string, unknown>;
  const gaps = description === undefined && path !== '' ? [`${path} has no description`] : [];
  return [...gaps, ...findGapsInside(shape, path)];
}

/** An option of a union and an item of a list stand for the field that they are part of: that one is described. */
function findGapsInside(schema: unknown, path: string): string[] {
  const {
    properties,
    oneOf,
    anyOf = oneOf,
    items,
    type,
    additionalProperties,
    patternProperties,
  } = schema as Record<string, unknown>;
  const isOpen = anyOf === undefined && patternProperties === undefined && additionalProperties !== false;
  return [
    ...(type === 'object' && isOpen ? [`${path} accepts unknown keys`] : []),
    ...sharedWords(properties ?? {}).map((words) => `${path} describes two fields by the same words: ${words}`),
    ...Object.entries(properties ?? {}).flatMap(([key, property]) => findGaps(property, `${path}/${key}`)),
    ...((anyOf as unknown[]) ?? []).flatMap((option, index) => findGapsInside(option, `${path}(${index})`)),
    ...(items === undefined ? [] : findGapsInside(items, `${path}[]`)),
  ];
}

/** Places of choices between objects that no tag tells apart. */
function untaggedChoices(schema: unknown, path = ''): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const { anyOf = [] } = schema as { anyOf?: readonly { readonly type?: unknown }[] };
  const own = anyOf.filter(({ type }) => type === 'object').length > 1 ? [path] : [];
  return [...own, ...Object.entries(schema).flatMap(([key, inner]) => untaggedChoices(inner, `${path}/${key}`))];
}

/** Words that describe more than one field of an object, and so say nothing about either. */
function sharedWords(properties: object): string[] {
  const all = Object.values(properties).flatMap(({ description }) => description ?? []);
  return all.filter((words, index) => all.indexOf(words) < index);
}
