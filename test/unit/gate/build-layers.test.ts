import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { buildLabels, labels } from '../../../src/contract/names.ts';
import { lookAtLayers, removeUnused } from '../../../src/gate/build-layers.ts';
import { BuildTurns } from '../../../src/gate/build-turns.ts';
import { type BuiltImage, BuiltImages } from '../../../src/gate/built-images.ts';
import type { GateContext } from '../../../src/gate/context.ts';
import { wipeBuilds } from '../../../src/gate/kept-builds.ts';

const never = new AbortController().signal;
const id = (name: string) => `sha256:${name.padEnd(64, '0')}`;
const ours = { [buildLabels.allocation]: 'a1', [buildLabels.project]: 'p1' };

interface Image {
  readonly parent?: string;
  readonly tags?: readonly string[];
  readonly labels?: Record<string, string>;
  readonly size?: number;
}
interface Container {
  readonly image: string;
  readonly name?: string;
  readonly labels?: Record<string, string>;
  readonly host?: Record<string, unknown>;
}

const record = (name: string, key = 'a'): BuiltImage => ({
  ...{ project: 'p1', key: key.repeat(64), revision: 'b'.repeat(64), image: id(name), bases: [], engine: '' },
  ...{ bytes: 1, built_at: '' },
});

/** An engine with these, whose images have no container but these. */
function engineOf(images: Record<string, Image>, containers: Record<string, Container> = {}) {
  const left = { ...images };
  const present = { ...containers };
  const answer = (status: number, body: unknown = {}) => ({ status, body: Buffer.from(JSON.stringify(body)) });
  const listed = () =>
    Object.entries(left).map(([name, { parent, tags = [], labels: carried = {}, size = 10 }]) => ({
      ...{ Id: id(name), ParentId: parent === undefined ? '' : id(parent), RepoTags: tags, Labels: carried },
      ...{ Created: 1, Size: size },
    }));
  const nameOf = (path: string) =>
    Object.keys(images).find((name) => decodeURIComponent(path).includes(id(name))) ?? '';
  const ask = async ({ method, path }: { method: string; path: string }) => {
    const [, , container = ''] = path.split('/');
    if (path === '/containers/json') {
      const entries = Object.entries(present);
      return answer(
        200,
        entries.map(([Id, one]) => ({ Id, ImageID: id(one.image), Labels: one.labels ?? {} })),
      );
    }
    if (method === 'GET' && path.startsWith('/containers/')) {
      const { name = 'lucid_noether', host } = present[container] ?? {};
      return answer(200, { Name: `/${name}`, HostConfig: host });
    }
    if (path.startsWith('/containers/')) delete present[container];
    else if (method === 'DELETE') delete left[nameOf(path)];
    else return nameOf(path) in left ? answer(200, { Id: id(nameOf(path)) }) : answer(404);
    return answer(200);
  };
  const builtImages = new BuiltImages();
  const stream = async () => Object.assign(Readable.from(inPieces(listed())), { statusCode: 200 });
  const gate = {
    ...{ engine: { ask, stream }, builtImages, builds: new BuildTurns(1), policy: { allocation: { id: 'a1' } } },
  } as unknown as GateContext;
  return { gate, builtImages, images: () => Object.keys(left), containers: () => Object.keys(present) };
}

function* inPieces(list: readonly unknown[]) {
  for (const [index, each] of list.entries()) yield Buffer.from(`${index === 0 ? '[' : ','}${JSON.stringify(each)}`);
  yield Buffer.from(list.length === 0 ? '[]' : ']');
}

const all = { of: () => true };

describe('what builds leave', () => {
  it('goes from a list that is larger than an answer which is read whole', async () => {
    const large = { ...ours, large: 'x'.repeat(2 ** 20) };
    const layers = Array.from({ length: 65 }, (_, index) => [`${index}f`, { parent: 'base', labels: large }] as const);
    const { gate, images } = engineOf({ base: { tags: ['base:1'] }, ...Object.fromEntries(layers) });

    expect(await removeUnused(all, gate, never)).toMatchObject({ layers: 65 });
    expect(images()).toEqual(['base']);
  });

  it('is not what stands on an image that only says it was built here', async () => {
    const of = { ...ours, [buildLabels.project]: 'p2' };
    const { gate, images } = engineOf({ ba5e: { tags: ['base:1'], labels: of }, b: { parent: 'ba5e', labels: ours } });

    await removeUnused({ of: (project) => project === 'p2' }, gate, never);
    expect(images()).toEqual(['ba5e', 'b']);
    await removeUnused({ of: (project) => project === 'p1' }, gate, never);
    expect(images()).toEqual(['ba5e']);
  });
});

it('an image has for itself what nothing else stands on, down to what came from elsewhere', async () => {
  const { gate, builtImages } = engineOf({
    ba5e: { tags: ['base:1'], size: 100 },
    a: { parent: 'ba5e', size: 150 },
    b: { parent: 'a', size: 160 },
    c: { parent: 'b', size: 163 },
    d: { parent: 'a', size: 155 },
    e: { parent: 'ba5e', size: 170 },
  });
  for (const each of [record('c'), record('d', 'd'), record('e', 'e'), record('f', 'f')]) builtImages.note(each);

  // Two stand on `a`; the engine has no `f` any more.
  const [c, d, e, f] = [13, 5, 70, 0];
  const { own } = await lookAtLayers(Promise.resolve([]), gate, never);
  expect(Object.fromEntries(own)).toEqual({
    ...{ [id('c')]: c, [id('d')]: d, [id('e')]: e, [id('f')]: f },
  });
});

describe('how much of what builds leave nothing needs', () => {
  const theirs = { ...ours, [buildLabels.project]: 'p2' };
  const made = {
    ba5e: { tags: ['base:1'], size: 100 },
    a: { parent: 'ba5e', labels: ours, size: 150 },
    b: { parent: 'a', labels: ours, size: 160 },
    c: { parent: 'b', labels: ours, size: 163 },
    d: { parent: 'a', labels: ours, size: 155 },
    e: { parent: 'ba5e', labels: theirs, size: 170 },
    f: { parent: 'ba5e', size: 900 },
  };
  const listed = (image: string) => ({ Id: 'one', ImageID: id(image) });

  it('is what would go: no image that is kept, none of a container, none from elsewhere, and none beside a build of its project', async () => {
    const { gate, builtImages } = engineOf(made);
    const unused = async (...images: readonly string[]) =>
      (await lookAtLayers(Promise.resolve(images.map(listed)), gate, never)).unused;

    expect([await unused(), await unused('c'), await unused('b', 'e')]).toEqual([138, 75, 3 + 5]);
    builtImages.note(record('d', 'd'));
    expect([await unused(), (await removeUnused(all, gate, never)).bytes, await unused()]).toEqual([83, 83, 0]);
  });

  it('is less while an image is built for its project', async () => {
    const { gate } = engineOf(made);
    Object.assign(gate.builds, { isBuilding: (project?: string) => project === 'p2' });

    expect((await lookAtLayers(Promise.resolve([]), gate, never)).unused).toBe(68);
  });
});

describe('an image of a gate that wrote no labels', () => {
  const old = {
    ba5e: { tags: ['base:1'] },
    a: { parent: 'ba5e' },
    b: { parent: 'a' },
    c: { parent: 'a' },
    d: { parent: 'ba5e' },
  };

  it('goes with its record and what nothing else stands on, and no other does', async () => {
    const { gate, builtImages, images } = engineOf(old);
    builtImages.note(record('c', 'c'));

    await removeUnused({ ...all, given: [record('b')] }, gate, never);
    expect(images()).toEqual(['ba5e', 'a', 'c', 'd']);
    builtImages.forget(record('c', 'c'));
    await removeUnused({ ...all, given: [record('c', 'c')] }, gate, never);
    expect(images()).toEqual(['ba5e', 'd']);
  });

  it('goes with a wipe, and is told again by the next where it cannot', async () => {
    const named = { ...old, e: { parent: 'ba5e', tags: ['theirs:1'] } };
    const { gate, builtImages, images } = engineOf(named);
    for (const each of [record('b'), record('e', 'e')]) builtImages.note(each);

    expect(await wipeBuilds(gate, never)).toEqual({ removed: [id('b')], kept: [id('e')] });
    expect(images()).toEqual(['ba5e', 'a', 'c', 'd', 'e']);
    expect(await wipeBuilds(gate, never)).toEqual({ removed: [], kept: [id('e')] });
  });
});

describe('a stopped container', () => {
  const images = { ba5e: { tags: ['base:1'] }, a: { parent: 'ba5e', labels: ours } };
  const host = { LogConfig: { Type: 'none' }, Memory: 2 ** 28, CpuPeriod: 100_000, CpuQuota: 100_000 };

  it.each([
    ['that the builder has made for us', { image: 'a', labels: ours }],
    ['of the first step, before there is a layer', { image: 'ba5e', labels: ours }],
    [
      'whose author wants it to stay',
      { image: 'a', labels: { [labels.instance]: 'x', [buildLabels.allocation]: 'y' } },
    ],
  ])('%s goes, with what it stood on', async (_, container) => {
    const { gate, images: left, containers } = engineOf(images, { one: { ...container, host } });

    await removeUnused(all, gate, never);

    expect([left(), containers()]).toEqual([['ba5e'], []]);
  });

  it.each([
    ['that somebody has made of an image', { host: { ...host, LogConfig: { Type: 'json-file' } } }],
    ['that somebody has named', { host, name: 'debug' }],
    ['of a build that is not bounded as ours are', { host: { ...host, CpuQuota: 0, CpuPeriod: 0 } }],
  ])('%s stays', async (_, container) => {
    const given = { one: { image: 'a', labels: ours, ...container } };
    const { gate, images: left, containers } = engineOf(images, given);

    expect(await removeUnused(all, gate, never)).toMatchObject({ held: [id('a')] });
    expect([left(), containers()]).toEqual([['ba5e', 'a'], ['one']]);
  });
});
