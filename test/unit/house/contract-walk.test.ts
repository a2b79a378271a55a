/** Walks every task type, failure code and schema field: what is declared must be handled, shown, tested and documented. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AgentConfig } from '../../../src/agent/config.ts';
import { failureCodes, failures } from '../../../src/contract/failures.ts';
import { TaskEnvelope, TaskResult } from '../../../src/contract/task-envelope.ts';
import { taskSchemas, taskTypes } from '../../../src/contract/tasks.ts';
import { judge } from '../../../src/contract/validate.ts';
import { HostPolicy } from '../../../src/policy/host-policy.ts';
import { taskHandlers } from '../../../src/tasks/index.ts';

const root = resolve(import.meta.dirname, '../../..');
const fileName = (type: string) => type.replaceAll(/[._]/g, '-');

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

  it('has a test of its own name', () => {
    expect(existsSync(join(root, `test/unit/tasks/${fileName(type)}.test.ts`))).toBe(true);
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
  const roots = {
    ...Object.fromEntries(
      taskTypes.flatMap((type) => [
        [`${type} params`, taskSchemas[type].params],
        [`${type} output`, taskSchemas[type].output],
      ]),
    ),
    ...{ envelope: TaskEnvelope, result: TaskResult, config: AgentConfig, policy: HostPolicy },
  };

  it.each(Object.entries(roots))('of %s has a description and refuses unknown keys', (_name, schema) => {
    expect(findGaps(schema, '')).toEqual([]);
  });
});

/** Fields without a description and objects that are open, with their paths. */
function findGaps(schema: unknown, path: string): string[] {
  if (typeof schema !== 'object' || schema === null) {
    return [];
  }
  const {
    description,
    properties,
    oneOf,
    anyOf = oneOf,
    items,
    type,
    additionalProperties,
    patternProperties,
  } = schema as Record<string, unknown>;
  const gaps = description === undefined && anyOf === undefined && path !== '' ? [`${path} has no description`] : [];
  if (type === 'object' && anyOf === undefined && patternProperties === undefined && additionalProperties !== false) {
    gaps.push(`${path} accepts unknown keys`);
  }
  for (const [key, property] of Object.entries((properties as object) ?? {})) {
    gaps.push(...findGaps(property, `${path}/${key}`));
  }
  for (const [index, option] of ((anyOf as unknown[]) ?? []).entries()) {
    const { type: kind } = option as { type?: string };
    gaps.push(...(kind === 'object' ? findGaps(option, `${path}(${index})`) : []));
  }
  const { type: itemType } = (items ?? {}) as { type?: string };
  return [...gaps, ...(itemType === 'object' ? findGaps(items, `${path}[]`) : [])];
}
