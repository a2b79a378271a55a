/** A host whose disk is full under the journal of its agent, over the whole wire (FAULTS 18). */
import { execFileSync } from 'node:child_process';
import { cpSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openWire, type Wire } from '../support/wire-ground.ts';

let wire: Wire;
let state: string;

beforeAll(async () => {
  wire = await openWire();
  state = join(wire.folder, 'state');
  await wire.agent.stop();
  renameSync(state, `${state}.before`);
  execFileSync('mkdir', ['-m', '700', state]);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m,mode=0700', 'tmpfs', state]);
  cpSync(`${state}.before`, state, { recursive: true });
  await wire.agent.start();
});
afterAll(async () => {
  await wire?.agent.stop('SIGKILL');
  execFileSync('umount', [state]);
  await wire?.close();
});

it('refuses launches with the reason, leaves what runs alone, and takes them again when there is room', async () => {
  const { id: before } = await wire.launch();
  await wire.reaches(before, 'running');
  const running = async () => (await wire.containers(before)).map(({ Id, State }) => `${Id} ${State}`);
  const container = await running();
  fill(join(state, 'filler'));

  const { id: refused } = await wire.launch();
  const { failure } = await wire.reaches(refused, 'failed');

  // A host that has not said for half a minute what it can run is asked first, and refuses that as well.
  expect(['disk.full', 'launch.node_unavailable']).toContain(failure.code);
  expect(JSON.stringify(failure)).toContain('disk');
  expect(await wire.containers(refused)).toEqual([]);
  expect(await running()).toEqual(container);
  rmSync(join(state, 'filler'));
  const { id: after } = await wire.launch();
  expect((await wire.reaches(after, 'running', 'failed')).state).toBe('running');
});

/** Until nothing more fits. */
function fill(file: string): void {
  for (const size of [2 ** 20, 4096]) {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(size), { flag: 'a' });
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
    }
  }
}
