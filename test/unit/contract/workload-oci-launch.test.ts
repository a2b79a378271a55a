import { describe, expect, it } from 'vitest';
import { judge } from '../../../src/contract/validate.ts';
import { WorkloadOciLaunchParams } from '../../../src/contract/workload-oci-launch.ts';
import { changed, fullLaunch, sealedText } from './samples.ts';

const id64 = 'a'.repeat(64);
const many = <T>(count: number, value: T) => Array.from({ length: count }, () => value);
const port = { name: 'web', container_port: 8888, host_port: 8888, protocol: 'http' };
const mount = { name: 'w', path: '/w', mode: 'scratch', read_only: false };
const variables = (count: number, value: string) =>
  Object.fromEntries(many(count, value).map((each, index) => [`V${index}`, each]));
const files = (count: number) =>
  Object.fromEntries(many(count, sealedText).map((each, index) => [`/run/secrets/f${index}`, each]));

/** Pointer, values that are just inside the bounds, values that are just outside. */
const bounds: [string, unknown[], unknown[]][] = [
  ['/identity/project_id', ['a', id64, 'A-b_9'], ['', `${id64}a`, '-a', '_a', 'a.b', 'a/b', '..', 'a\n', 'ä', 'a ']],
  ['/identity/app_instance_id', ['x1'], ['', '../x', 'a/../b', '.', 'a\u0000', 'a:b', 'a@b', ` ${id64}`]],
  ['/identity/allocation_id', ['alloc-1'], ['', 'a b', '$(id)', 'a;b']],
  ['/identity/app_slug', ['vllm-openai'], ['', '-x', 'x'.repeat(65)]],
  ['/identity/app_version', ['2026.04-preview', '1+b', 'a'.repeat(64)], ['', '.1', 'a b', '1/2', 'a'.repeat(65)]],
  [
    '/identity/display_name',
    ['x', 'Mein Büro ☂', 'a'.repeat(128)],
    ['', 'a'.repeat(129), 'a\nb', '\u001b[2J', '\u007f'],
  ],
  ['/image/reference', ['r/x@sha256:0'], ['x'.repeat(513), 5]],
  ['/image/media_type', ['application/vnd.oci.image.index.v1+json'], ['', 'text/plain', 'application/json']],
  ['/command', [[], many(1024, 'a'), ['']], [many(1025, 'a'), 'sh -c id', ['a\u0000b'], ['x'.repeat(32769)], [1]]],
  ['/entrypoint', [['a'], many(256, 'a')], [[], many(257, 'a'), ['\u0000']]],
  [
    '/env',
    [{}, { _A: '', a1: 'x=y\nz' }, variables(512, 'x'), { A: 'x'.repeat(32768) }],
    [
      ...[variables(513, 'x'), { A: 'x'.repeat(32769) }, { A: 'a\u0000' }, { 'A=B': 'x' }, { '1A': 'x' }, { '': 'x' }],
      ...[
        { 'A B': 'x' },
        { 'A\u0000': 'x' },
        { 'A-B': 'x' },
        { [`${'A'.repeat(129)}`]: 'x' },
        { A: 1 },
        { A: null },
        [],
      ],
    ],
  ],
  [
    '/sealed_env',
    [{}, { A: sealedText }],
    [{ A: 'plain' }, { 'A=B': sealedText }, { A: `${sealedText}.x` }, { A: 'a.b.c.d' }],
  ],
  ['/sealed_env', [variables(64, sealedText)], [variables(65, sealedText), { A: `a..b.${'c'.repeat(262_144)}.d` }]],
  [
    '/sealed_files',
    [{}, files(64)],
    [
      ...[
        files(65),
        { '/etc/passwd': sealedText },
        { '/run/secrets/../x': sealedText },
        { '/run/secrets/a/b': sealedText },
      ],
      ...[
        { '/run/secrets/.x': sealedText },
        { '/run/secrets/': sealedText },
        { [`/run/secrets/${'a'.repeat(129)}`]: sealedText },
      ],
    ],
  ],
  ['/resources/gpu_count', [0, 64], [-1, 65, 0.5, '0']],
  ['/resources/cpu_cores', [0.1, 4096], [0, 0.09, 4097, -1, Number.NaN, Number.POSITIVE_INFINITY]],
  ['/resources/memory_gib', [0.0625, 65536], [0, 0.06, 65537]],
  ['/resources/shm_gib', [0.0625, 65536], [0, 65537]],
  ['/mounts', [[], many(32, mount)], [many(33, mount)]],
  ['/mounts/0/name', ['w', id64], ['', '..', 'a/b', '.hidden']],
  ['/mounts/0/path', ['/', `/${'a'.repeat(511)}`], ['', 'relative', 'C:/x', '/a\u0000', `/${'a'.repeat(512)}`]],
  ['/mounts/0/mode', ['scratch', 'project_storage'], ['host', 'bind', 'volume', '']],
  ['/mounts/0/read_only', [true, false], ['true', 1, null]],
  ['/ports', [[], many(32, port)], [many(33, port)]],
  ['/ports/0/name', ['web'], ['', 'a,b', 'a:b']],
  ['/ports/0/container_port', [1, 65535], [0, 65536, 80.5, '80']],
  ['/ports/0/host_port', [1024, 65535], [0, 80, 1023, 65536, '8080']],
  ['/ports/0/protocol', ['http', 'tcp'], ['udp', 'https', '']],
  [
    '/python_packages',
    [[], many(256, 'numpy'), ['x'.repeat(256)]],
    [many(257, 'numpy'), [''], ['x'.repeat(257)], 'numpy'],
  ],
  [
    '/readiness',
    [[], many(16, { type: 'container_health', timeout_seconds: 1 })],
    [
      ...[many(17, { type: 'container_health', timeout_seconds: 1 })],
      ...[[{ type: 'grpc', timeout_seconds: 1 }], [{ type: 'container_health', endpoint: 'web', timeout_seconds: 1 }]],
    ],
  ],
  ['/readiness/0/timeout_seconds', [1, 7200], [0, 7201, 1.5, -1]],
  ['/readiness/0/endpoint', ['web'], ['', '10.0.0.1:80', 'http://evil/']],
  [
    '/readiness/0/path',
    ['/', `/${'a'.repeat(2047)}`, '/a?b=c#d'],
    ['', 'api', 'http://evil/', '/a b', '/a\r\nHost: x', '/ä', `/${'a'.repeat(2048)}`],
  ],
  ['/readiness/0/bearer_env', ['API_KEY'], ['', 'A-B', '__proto__', `A${'b'.repeat(128)}`]],
  ['/readiness/2/command', [['true'], many(256, 'a')], [[], many(257, 'a'), 'true', ['\u0000']]],
  ['/sandbox', ['runc', 'gvisor'], ['kata', 'io.containerd.runc.v2', '', 'RUNC']],
  ['/restart/policy', ['no', 'on_failure', 'always'], ['unless-stopped', '']],
  ['/restart/max_retries', [0, 100], [-1, 101, 1.5]],
  ['/log_limits/max_size_mib', [1, 1024], [0, 1025, 1.5]],
  ['/log_limits/max_files', [1, 20], [0, 21]],
];

describe.each(bounds)('%s', (pointer, inside, outside) => {
  it.each(inside.map((value) => [shown(value), value]))('accepts %s', (_name, value) => {
    expect(judge(WorkloadOciLaunchParams, changed(fullLaunch(), pointer, value))).toMatchObject({ ok: true });
  });

  it.each(outside.map((value) => [shown(value), value]))('refuses %s with its path', (_name, value) => {
    const judged = judge(WorkloadOciLaunchParams, changed(fullLaunch(), pointer, value));

    expect(judged.ok ? [] : judged.errors.map(({ path }) => path)).toEqual(
      expect.arrayContaining([expect.stringContaining(pointer)]),
    );
  });
});

it('has no field without a bound', () => {
  const listed = new Set(bounds.map(([pointer]) => pointer));
  const unlisted = fieldsOf(WorkloadOciLaunchParams as unknown as Node, '').filter((field) => !listed.has(field));

  // Literals, and parts that are listed as a whole or by a sibling of the same schema.
  expect(unlisted).toEqual([
    '/image/kind',
    '/image/image_id',
    '/image/provenance/source',
    '/image/provenance/digest',
    '/readiness/0/type',
    '/readiness/0/command',
  ]);
});

it.each([
  'sha256:abc',
  `sha256:${'A'.repeat(64)}`,
  `sha512:${'a'.repeat(64)}`,
  `sha256:${'a'.repeat(65)}`,
  'jupyter:latest',
])('G-157: takes no local image by the name %s', (imageId) => {
  const provenance = { source: 'build', digest: `sha256:${'a'.repeat(64)}` };
  const image = { kind: 'local', image_id: imageId, provenance };

  expect(judge(WorkloadOciLaunchParams, changed(fullLaunch(), '/image', image))).toMatchObject({
    ok: false,
    errors: [{ path: '/image/image_id', code: 'pattern' }],
  });
});

it('G-161, G-216: has no word for a runtime, a device, a capability or a namespace', () => {
  for (const key of ['runtime', 'devices', 'cap_add', 'privileged', 'network_mode', 'pid_mode', 'user', 'sysctls']) {
    expect(judge(WorkloadOciLaunchParams, changed(fullLaunch(), `/${key}`, 'x'))).toMatchObject({
      ok: false,
      errors: [{ path: `/${key}`, code: 'unknown_key' }],
    });
  }
});

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 40)}… (${text.length} characters)` : text;
}

interface Node {
  readonly properties?: Record<string, Node>;
  readonly items?: Node;
  readonly oneOf?: readonly Node[];
}

/** Pointers to every field that is not an object of ours; the first element stands for a list. */
function fieldsOf({ properties, items, oneOf }: Node, base: string): string[] {
  if (properties) {
    return Object.entries(properties).flatMap(([key, node]) => fieldsOf(node, `${base}/${key}`));
  }
  if (oneOf) {
    return [...new Set(oneOf.flatMap((option) => fieldsOf(option, base)))];
  }
  const inner = items && (items.properties || items.oneOf) ? fieldsOf(items, `${base}/0`) : [];
  return [base, ...inner];
}
