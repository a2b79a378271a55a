import fc from 'fast-check';
import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { pointerToken } from '../../../src/contract/pointer.ts';
import { TaskEnvelope } from '../../../src/contract/task-envelope.ts';
import { judge, judgeKnown, type PathError } from '../../../src/contract/validate.ts';
import { WorkloadOciLaunchParams } from '../../../src/contract/workload-oci-launch.ts';
import { changed, envelope, fullLaunch } from './samples.ts';

const closed = { additionalProperties: false };

it('returns the very value it was given, unchanged', () => {
  const params = fullLaunch();
  const before = structuredClone(params);

  const judged = judge(WorkloadOciLaunchParams, params);

  expect(judged).toEqual({ ok: true, value: before });
  expect(judged.ok && judged.value).toBe(params);
});

it('never turns a value into the type that was wanted', () => {
  expect(pathsOf(changed(fullLaunch(), '/resources/gpu_count', '0'))).toEqual(['/resources/gpu_count']);
  expect(pathsOf(changed(fullLaunch(), '/mounts/0/read_only', 'false'))).toEqual(['/mounts/0/read_only']);
  expect(pathsOf(changed(fullLaunch(), '/python_packages', 'numpy'))).toEqual(['/python_packages']);
  expect(pathsOf(changed(fullLaunch(), '/env/PORT', 8888))).toEqual(['/env/PORT']);
});

it.each([
  ['/privileged', true],
  ['/identity/user', 'root'],
  ['/image/tag', 'latest'],
  ['/resources/cap_add', ['SYS_ADMIN']],
  ['/mounts/0/source', '/etc'],
  ['/ports/0/host_ip', '0.0.0.0'],
  ['/readiness/0/host', '10.0.0.1'],
  ['/restart/delay', 1],
  ['/log_limits/driver', 'syslog'],
])('refuses the unknown key %s by its path', (path, value) => {
  const judged = judge(WorkloadOciLaunchParams, changed(fullLaunch(), path, value));

  expect(judged).toEqual({ ok: false, errors: [{ path, code: 'unknown_key', message: 'is not a known key' }] });
});

it('names each missing key by its own path', () => {
  const { image: _image, restart: _restart, ...rest } = fullLaunch();

  expect(errorsOf(rest)).toEqual([
    { path: '/image', code: 'required', message: 'is missing' },
    { path: '/restart', code: 'required', message: 'is missing' },
  ]);
});

it('says which values would have been right', () => {
  expect(errorsOf(changed(fullLaunch(), '/sandbox', 'kata'))).toEqual([
    { path: '/sandbox', code: 'enum', message: 'must be one of ["runc","gvisor"]' },
  ]);
});

it('names the types that a value may have', () => {
  const text = Type.Unsafe<string | string[]>({ type: ['string', 'array'] });

  expect(judge(text, 7)).toEqual({
    ok: false,
    errors: [{ path: '', code: 'type', message: 'must be string or array' }],
  });
});

it('escapes keys as a JSON pointer wants it', () => {
  expect(errorsOf(changed(fullLaunch(), '/env', { 'a/b~c': 'x' }))).toMatchObject([{ path: '/env/a~1b~0c' }]);
  expect(pointerToken('~1')).toBe('~01');
});

describe('of a choice', () => {
  it('reports what is wrong with the branch that was meant, and nothing about the others', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const local = { kind: 'local', image_id: digest, provenance: { source: 'download', digest } };

    expect(errorsOf(changed(fullLaunch(), '/image', local))).toEqual([
      { path: '/image/provenance/source', code: 'enum', message: 'must be one of ["build","import"]' },
    ]);
    expect(errorsOf(changed(fullLaunch(), '/readiness/1', { type: 'tcp', timeout_seconds: 1 }))).toEqual([
      { path: '/readiness/1/endpoint', code: 'required', message: 'is missing' },
    ]);
  });

  it.each([undefined, 'registryy', 5, null, '__proto__', 'constructor'])('names the tag where it is %j', (kind) => {
    const image = { ...fullLaunch().image, kind };

    expect(errorsOf(changed(fullLaunch(), '/image', image))).toEqual([
      { path: '/image/kind', code: 'enum', message: 'must be one of ["registry","local"]' },
    ]);
  });

  it.each([null, 'nginx:latest', 7, [[]]])('wants an object where there is %j', (image) => {
    expect(errorsOf(changed(fullLaunch(), '/image', image))).toMatchObject([{ path: '/image', code: 'type' }]);
  });
});

describe('of many errors', () => {
  it('reports at most 50', () => {
    const env = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`bad-${index}`, 'x']));

    expect(errorsOf(changed(fullLaunch(), '/env', env))).toHaveLength(50);
  });

  it('reports the same complaint about the same place once', () => {
    const either = Type.Object(
      { a: Type.Union([Type.Object({ x: Type.String() }, closed), Type.Object({ x: Type.String() }, closed)]) },
      closed,
    );

    const judged = judge(either, { a: { x: 1 } });

    const complaints = judged.ok ? [] : judged.errors.map(({ path, message }) => `${path} ${message}`);
    expect(complaints.length).toBeGreaterThan(0);
    expect(new Set(complaints).size).toBe(complaints.length);
  });

  it.each(['\u202E', '\u2066', '\u200B', '\uFEFF', '\u0000', '\u001B', '\u2028', '\uD800'])(
    'never repeats %j, which hides or reorders the text around it',
    (character) => {
      const params = changed(fullLaunch(), '/env', { [`A${character}B`]: 'x' });

      expect(pathsOf(params)).toEqual(['/env/A\uFFFDB']);
      expect(pathsOf({ ...fullLaunch(), [`x${character}y`]: 1 })).toEqual(['/x\uFFFDy']);
    },
  );

  it('never repeats a long key whole', () => {
    const errors = errorsOf(changed(fullLaunch(), '/env', { [`-${'x'.repeat(500_000)}`]: 'v' }));

    expect(errors).toHaveLength(1);
    expect(JSON.stringify(errors).length).toBeLessThan(300);
  });
});

describe('of keys that objects inherit', () => {
  it.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'])('refuses %s as unknown', (key) => {
    for (const at of ['', '/identity', '/resources', '/image', '/readiness/0']) {
      expect(errorsOf(changed(fullLaunch(), `${at}/${key}`, { polluted: true }))).toMatchObject([
        { path: `${at}/${key}`, code: 'unknown_key' },
      ]);
    }
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('refuses __proto__ as the name of a variable, also of a sealed one', () => {
    const env = JSON.parse('{"__proto__": "x"}');

    expect(pathsOf({ ...fullLaunch(), env })).toEqual(['/env/__proto__']);
    expect(pathsOf({ ...fullLaunch(), sealed_env: env })).toEqual(['/sealed_env/__proto__']);
  });

  it('does not take an inherited value for one that was given', () => {
    const inherits = Object.create(fullLaunch());

    expect(pathsOf(inherits)).toContain('/identity');
  });
});

describe('FAULTS 35: hostile documents are refused, and hardly looked at', () => {
  const wide = (item: string) => JSON.parse(`[${`${item},`.repeat(120_000)}${item}]`);
  const deep = (levels: number) => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`);
  const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`key-${index}`, 1]));
  const documents: [string, () => unknown][] = [
    ['10,000 levels of lists in place of the document', () => deep(10_000)],
    ['10,000 levels of lists inside', () => changed(fullLaunch(), '/command', deep(10_000))],
    ['10,000 levels under an unknown key', () => changed(fullLaunch(), '/extra', deep(10_000))],
    ['120,000 numbers', () => changed(fullLaunch(), '/ports', wide('0'))],
    ['120,000 empty objects', () => changed(fullLaunch(), '/readiness', wide('{}'))],
    ['120,000 strings', () => changed(fullLaunch(), '/command', wide('"x"'))],
    ['60,000 unknown keys', () => keys(60_000)],
    ['60,000 variables', () => changed(fullLaunch(), '/env', keys(60_000))],
    ['as many unknown keys as are looked at', () => keys(7_900)],
    ['19,000 unknown keys', () => keys(19_000)],
    ['19,000 packages', () => changed(fullLaunch(), '/python_packages', Array(19_000).fill(0))],
    ['19,000 mounts', () => changed(fullLaunch(), '/mounts', Array(19_000).fill({}))],
    ['as many packages as are looked at', () => changed(fullLaunch(), '/python_packages', Array(7_800).fill(0))],
    ['as many mounts as are looked at', () => changed(fullLaunch(), '/mounts', Array(7_800).fill({}))],
    ['a million characters', () => changed(fullLaunch(), '/identity/app_version', 'a'.repeat(1_000_000))],
  ];

  it.each(documents)('%s', (_name, make) => {
    const { document, reads } = counted(make());

    const judged = judge(WorkloadOciLaunchParams, document);

    expect(reads()).toBeLessThan(100_000);
    expect(judged.ok).toBe(false);
    expect(JSON.stringify(judged).length).toBeLessThan(20_000);
  });

  it('also where they travel in an envelope', () => {
    const { document, reads } = counted({ ...envelope('workload.oci_launch', fullLaunch()), params: wide('{}') });

    const judged = judge(TaskEnvelope, document);

    expect(reads()).toBeLessThan(100_000);
    expect(judged).toMatchObject({ ok: false, errors: [{ path: '', code: 'too_large' }] });
  });

  it('but the largest document that the bounds of the fields allow passes', () => {
    const argument = 'x'.repeat(10);
    const many = <T>(count: number, make: (index: number) => T) =>
      Array.from({ length: count }, (_, index) => make(index));
    const largest = {
      ...fullLaunch(),
      command: many(1024, () => argument),
      entrypoint: many(256, () => argument),
      env: Object.fromEntries(many(512, (index) => [`V${index}`, argument])),
      python_packages: many(256, (index) => `package${index}`),
      readiness: many(16, () => ({ type: 'exec', command: many(256, () => argument), timeout_seconds: 1 })),
    };

    expect(judge(WorkloadOciLaunchParams, largest).ok).toBe(true);
  });
});

it('FAULTS 35: takes time in proportion to the text, whatever the text is', () => {
  const patterns = [...patternsOf(WorkloadOciLaunchParams), ...patternsOf(TaskEnvelope)].map(
    (pattern) => new RegExp(pattern, 'u'),
  );
  const pieces = ['a', '0', '-', '.', '_', '/', 'a.', '-_', '\u0000', ' ', 'sha256:', '/run/secrets/', '2026-'];
  const texts = pieces.flatMap((piece) => [
    piece.repeat(100_000),
    `a${piece.repeat(100_000)}\n`,
    `/${piece.repeat(100_000)}\u0000`,
  ]);

  // One that took the square of the length would not be over before the test is ended.
  for (const pattern of patterns) {
    for (const text of texts) {
      pattern.test(text);
    }
  }

  expect(patterns.length).toBeGreaterThan(10);
});

it('accepts nothing that a random change of type makes of a valid launch', () => {
  const leaves = pointersOf(fullLaunch());
  const wrong = fc.constantFrom<unknown>(null, [null], { x: 1 }, Number.NaN, -1, Number.POSITIVE_INFINITY);

  fc.assert(
    fc.property(fc.constantFrom(...leaves), wrong, (pointer, value) => {
      expect(pathsOf(changed(fullLaunch(), pointer, value)).every((path) => path.startsWith(pointer))).toBe(true);
      expect(pathsOf(changed(fullLaunch(), pointer, value))).not.toEqual([]);
    }),
    { numRuns: 200 },
  );
});

describe('of somebody who may be newer', () => {
  const Card = Type.Object({ uuid: Type.String() }, closed);
  const Facts = Type.Object(
    {
      name: Type.String(),
      'a/b~c': Type.Optional(Type.Object({}, closed)),
      engine: Type.Union([Type.Object({ version: Type.String() }, closed), Type.Null()]),
      cards: Type.Array(Card),
    },
    closed,
  );
  const known = { name: 'n', 'a/b~c': {}, engine: { version: '1' }, cards: [{ uuid: 'one' }, { uuid: 'two' }] };

  it('leaves out what it does not know, wherever and however much that is, and changes nothing', () => {
    const cards = Array.from({ length: 70 }, (_, index) => ({ uuid: String(index), model: { deep: index } }));
    const said = { ...known, 'a/b~c': { 'x/y': 1 }, engine: { version: '1', runtimes: [] }, cards, health: { ok: 1 } };
    const before = structuredClone(said);

    const judged = judgeKnown(Facts, said);

    expect(judged).toEqual({ ok: true, value: { ...known, cards: cards.map(({ uuid }) => ({ uuid })) } });
    expect(said).toEqual(before);
  });

  it('says what else is wrong, and of keys nothing', () => {
    const judged = judgeKnown(Facts, { ...known, name: 5, health: 1 });

    expect(judged).toMatchObject({ ok: false, errors: [{ path: '/name' }] });
  });

  it('is given back as it came where all of it is known, and not looked at where it is too large', () => {
    expect(judgeKnown(Facts, known)).toEqual({ ok: true, value: known });
    const judged = judgeKnown(Facts, { ...known, more: Array(8001).fill(1) });
    expect(judged).toMatchObject({ ok: false, errors: [{ code: 'too_large' }] });
  });

  it('does not mind the name of a key', () => {
    const said = JSON.parse('{"uuid":"one","__proto__":{"admin":true},"constructor":1}');

    expect(judgeKnown(Card, said)).toEqual({ ok: true, value: { uuid: 'one' } });
  });
});

/** The document, and how many of its values were read so far, those read twice twice. */
function counted(document: unknown): { document: unknown; reads: () => number } {
  let reads = 0;
  const watch = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    const get = (target: object, key: PropertyKey) => {
      reads += 1;
      return watch(Reflect.get(target, key));
    };
    return new Proxy(value, { get });
  };
  return { document: watch(document), reads: () => reads };
}

function errorsOf(params: unknown): readonly PathError[] {
  const judged = judge(WorkloadOciLaunchParams, params);
  return judged.ok ? [] : judged.errors;
}

function pathsOf(params: unknown): string[] {
  return errorsOf(params).map(({ path }) => path);
}

/** Pointers to every scalar in the document. */
function pointersOf(value: unknown, base = ''): string[] {
  if (typeof value !== 'object' || value === null) {
    return [base];
  }
  return Object.entries(value).flatMap(([key, inner]) => pointersOf(inner, `${base}/${pointerToken(key)}`));
}

/** Every regular expression in a schema: patterns of texts and of keys. */
function patternsOf(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) {
    return [];
  }
  const { pattern, patternProperties = {} } = schema as { pattern?: string; patternProperties?: object };
  const own = [...(typeof pattern === 'string' ? [pattern] : []), ...Object.keys(patternProperties)];
  return [...own, ...Object.values(schema).flatMap(patternsOf)];
}
