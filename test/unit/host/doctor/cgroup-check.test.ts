import { expect, it } from 'vitest';
import { cgroupControllers, judgeCgroups } from '../../../../src/host/doctor/cgroup-check.ts';
import { pretendRoot } from '../stand-ins.ts';

it('sees two that keep one tree of cgroups, and controllers that the kernel does not offer', async () => {
  const root = pretendRoot({ 'sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io pids\n' });
  const controllers = await cgroupControllers(root);
  const all = ['cpu', 'memory', 'pids'];
  const judged = (driver: string, version: string, offered: readonly string[] | undefined, systemd: boolean) =>
    judgeCgroups({ cgroupDriver: driver, cgroupVersion: version }, offered, systemd);

  expect(judged('systemd', '2', controllers, true)).toMatchObject({
    status: 'fail',
    found: expect.stringContaining('no controller memory'),
  });
  expect(judged('cgroupfs', '2', all, true)).toMatchObject({
    status: 'warn',
    found: expect.stringContaining('undoes'),
  });
  expect(judged('cgroupfs', '2', all, false)).toMatchObject({ status: 'ok' });
  expect(judged('systemd', '2', all, true)).toMatchObject({ status: 'ok' });
  expect(judged('cgroupfs', '1', undefined, true)).toMatchObject({ status: 'ok' });
  expect(await cgroupControllers(pretendRoot({}))).toBeUndefined();
});
