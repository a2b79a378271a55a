/**
 * What the gate's wipe does where it is cut off, and where something is mounted in the folders of the tenant (FAULTS 15 for
 * the end of an allocation): it goes on until nothing is left, and it never enters another file system.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { wipeOnce } from '../support/wipe-once.ts';

const folder = temporaryFolder('gate-wipe');
const outside = join(folder, 'outside');
const mounted: string[] = [];
let count = 0;

afterEach(() => {
  for (const path of mounted.splice(0)) execFileSync('umount', [path]);
});

/** A home with data of an instance and a project, a link that leads out of it, and secrets. */
function usedHost() {
  count += 1;
  const home = join(folder, `home-${count}`);
  const secrets = join(folder, `secrets-${count}`);
  const data = join(home, 'gpuaas');
  mkdirSync(outside, { recursive: true });
  writeFileSync(join(outside, 'of-others'), 'kept');
  for (const path of ['workloads/i1/data', 'projects/p1']) {
    mkdirSync(join(data, path), { recursive: true });
    writeFileSync(join(data, path, 'file'), 'of a tenant');
  }
  symlinkSync(outside, join(data, 'workloads/i1/link'));
  mkdirSync(join(secrets, 'i1'), { recursive: true });
  writeFileSync(join(secrets, 'i1/token'), 'secret');
  const inputs = join(folder, `inputs-${count}`);
  mkdirSync(join(inputs, 'jobs/job-1/data'), { recursive: true });
  return { home, secrets, inputs, data, wipe: () => wipeOnce(home, secrets, inputs) };
}

function mount(path: string, ...how: string[]): void {
  execFileSync('mount', [...how, path]);
  mounted.push(path);
}

const left = ({ data, secrets, inputs }: ReturnType<typeof usedHost>) =>
  [secrets, join(inputs, 'jobs'), ...['workloads', 'projects'].map((name) => join(data, name))].filter(existsSync);

it('killed at each of its steps, it goes on with the next call and ends with nothing left', async () => {
  const preload = resolve(import.meta.dirname, '../support/killed-at.ts');
  const program = resolve(import.meta.dirname, '../support/wipe-once.ts');
  let killed = 0;
  for (;;) {
    const host = usedHost();
    const env = { ...process.env, GPUAAS_TEST_KILL_UNDER: folder, GPUAAS_TEST_KILL_AT: `${killed + 1}` };
    const args = ['--import', preload, program, host.home, host.secrets, host.inputs];
    const { signal, stdout, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
    if (signal === null) {
      expect([left(host), JSON.parse(stdout || stderr).kept]).toEqual([[], []]);
      break;
    }
    killed += 1;
    expect([stdout, left(host).length > 0], `killed at step ${killed}`).toEqual(['', true]);
    await host.wipe();
    expect(left(host), `after step ${killed}`).toEqual([]);
  }

  expect(killed).toBeGreaterThan(10);
  expect(readFileSync(join(outside, 'of-others'), 'utf8')).toBe('kept');
});

it('keeps and names what is mounted in place of a folder of an instance or a project', async () => {
  const host = usedHost();
  const [disk, bound] = [join(host.data, 'workloads/i2'), join(host.data, 'projects/p1')];
  mkdirSync(disk);
  mount(disk, '-t', 'tmpfs', 'gpuaas-test');
  writeFileSync(join(disk, 'model'), 'of the operator');
  mount(bound, '--bind', outside);

  expect(await host.wipe()).toMatchObject({ kept: [disk, bound] });
  expect(readdirSync(join(host.data, 'workloads'))).toEqual(['i2']);
  expect([existsSync(join(disk, 'model')), existsSync(join(outside, 'of-others'))]).toEqual([true, true]);
});

it.each([
  ['a file system', 'workloads/i1/data', ['-t', 'tmpfs', 'gpuaas-test'], 'another file system mounted in it, at '],
  ['a folder of the same file system', 'workloads/i1/data', ['--bind', outside], 'another file system mounted'],
  ['a file', 'workloads/i1/data/file', ['--bind', join(outside, 'of-others')], 'a file mounted in it, file'],
])('refuses to enter %s that is mounted further down, and wipes the rest', async (_what, where, how, reason) => {
  const host = usedHost();
  const place = join(host.data, where);
  mount(place, ...how);

  await expect(host.wipe()).rejects.toMatchObject({
    ...{ code: 'mount.refused', message: expect.stringContaining(reason) },
    detail: { path: join(host.data, 'workloads/i1') },
  });
  expect(readdirSync(host.data)).toEqual(['workloads']);
  expect(readdirSync(join(host.data, 'workloads'))).toEqual(['i1']);
  expect(readFileSync(join(outside, 'of-others'), 'utf8')).toBe('kept');

  execFileSync('umount', [mounted.pop() ?? '']);
  await host.wipe();
  expect(left(host)).toEqual([]);
});
