import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { lockState } from '../../../../src/agent/journal/state-lock.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { waitOnGlobalTimers } from '../../../support/waits.ts';

waitOnGlobalTimers();

const folder = temporaryFolder('lock');
const module = resolve(import.meta.dirname, '../../../../src/agent/journal/state-lock.ts');

afterEach(() => void vi.useRealTimers());

describe('the lock of a state directory', () => {
  it('is held by one, waited for by the second, and refused to the third with the name of the holder', async () => {
    const dir = join(folder, 'three');
    const waits: string[] = [];
    const first = await lockState(dir, { owner: 'node-agent run', waitMs: 0 });
    const second = lockState(dir, {
      owner: 'node-agent run-task',
      waitMs: 5000,
      onWait: (holder) => waits.push(holder),
    });

    await expect(lockState(dir, { owner: 'third', waitMs: 0 })).rejects.toMatchObject({
      code: 'agent.busy',
      detail: { holder: `node-agent run (pid ${process.pid})` },
    });
    first.release();
    const held = await second;
    const now = lockState(dir, { owner: 'third', waitMs: 0 });

    await expect(now).rejects.toMatchObject({ detail: { holder: `node-agent run-task (pid ${process.pid})` } });
    expect(waits).toEqual([`node-agent run (pid ${process.pid})`]);
    held.release();
  });

  it('is config.invalid where its file cannot be opened', async () => {
    const dir = join(folder, 'closed');
    mkdirSync(join(dir, 'lock.db'), { recursive: true });

    await expect(lockState(dir, { owner: 'a', waitMs: 0 })).rejects.toMatchObject({
      code: 'config.invalid',
      detail: { path: join(dir, 'lock.db') },
    });
  });

  it('is not for who is another user than whose directory it is, root included: links may lie there', async () => {
    const dir = join(folder, 'of-another');
    mkdirSync(dir);
    writeFileSync(join(folder, 'of-root'), 'precious');
    symlinkSync(join(folder, 'of-root'), join(dir, 'lock.holder'));
    const { uid } = statSync(dir);
    const somebody = vi.spyOn(process, 'geteuid').mockReturnValue(uid + 1);
    onTestFinished(() => somebody.mockRestore());

    await expect(lockState(dir, { owner: 'node-agent enroll', waitMs: 0 })).rejects.toMatchObject({
      ...{ code: 'command.invalid', message: expect.stringContaining(`belongs to user ${uid}`) },
    });
    expect([readFileSync(join(folder, 'of-root'), 'utf8'), readdirSync(dir)]).toEqual(['precious', ['lock.holder']]);
  });

  it('does not keep another directory waiting', async () => {
    const one = await lockState(join(folder, 'one'), { owner: 'a', waitMs: 0 });
    const other = await lockState(join(folder, 'other'), { owner: 'b', waitMs: 0 });

    one.release();
    other.release();

    expect(one).not.toBe(other);
  });

  it('gives up after the wait, not before', async () => {
    const dir = join(folder, 'patience');
    const lock = await lockState(dir, { owner: 'a', waitMs: 0 });
    vi.useFakeTimers();
    let refused: unknown;

    const waiting = lockState(dir, { owner: 'b', waitMs: 1000 }).catch((error: unknown) => {
      refused = error;
    });
    await vi.advanceTimersByTimeAsync(999);
    const early = refused;
    await vi.advanceTimersByTimeAsync(100);
    await waiting;

    expect(early).toBeUndefined();
    expect(refused).toMatchObject({ code: 'agent.busy' });
    lock.release();
  });

  it('stops waiting with the reason of the signal', async () => {
    const dir = join(folder, 'cancelled');
    const lock = await lockState(dir, { owner: 'a', waitMs: 0 });
    const controller = new AbortController();
    const reason = new Error('SIGINT');

    const waiting = lockState(dir, {
      ...{ owner: 'b', waitMs: 60_000, signal: controller.signal },
      onWait: () => controller.abort(reason),
    });

    await expect(waiting).rejects.toBe(reason);
    lock.release();
  });

  it('is for the owner of the host only', async () => {
    const dir = join(folder, 'new/state');

    const lock = await lockState(dir, { owner: 'a', waitMs: 0 });

    expect(modeOf(dir)).toBe(0o700);
    expect(modeOf(join(dir, 'lock.holder'))).toBe(0o600);
    lock.release();
  });

  it('is not kept where the name of the holder cannot be written', async () => {
    const dir = join(folder, 'full');
    mkdirSync(join(dir, 'lock.holder'), { recursive: true });

    await expect(lockState(dir, { owner: 'a', waitMs: 0 })).rejects.toMatchObject({ code: 'EISDIR' });

    // A lock that had been kept would be `agent.busy` now.
    await expect(lockState(dir, { owner: 'b', waitMs: 0 })).rejects.toMatchObject({ code: 'EISDIR' });
  });

  it('is kept on a full disk, where the name of the holder has no room (FAULTS 18)', async () => {
    const dir = join(folder, 'no-room');
    mkdirSync(dir);
    symlinkSync('/dev/full', join(dir, 'lock.holder'));

    const lock = await lockState(dir, { owner: 'node-agent run', waitMs: 0 });
    rmSync(join(dir, 'lock.holder'));

    await expect(lockState(dir, { owner: 'second', waitMs: 0 })).rejects.toMatchObject({ code: 'agent.busy' });
    lock.release();
  });

  it('sets a file aside that is no database any more (FAULTS 19)', async () => {
    const dir = join(folder, 'broken');
    mkdirSync(dir);
    writeFileSync(join(dir, 'lock.db'), 'this is no database, and long enough to be seen as none'.repeat(10));

    const lock = await lockState(dir, { owner: 'a', waitMs: 0 });

    await expect(lockState(dir, { owner: 'b', waitMs: 0 })).rejects.toMatchObject({ code: 'agent.busy' });
    expect(existsSync(join(dir, 'lock.db.unreadable'))).toBe(true);
    lock.release();
  });

  it('is free again when its holder was killed, with nothing to clean up', async () => {
    const dir = join(folder, 'killed');
    const child = await holder(dir);
    const exited = once(child, 'exit');
    await expect(lockState(dir, { owner: 'next', waitMs: 0 })).rejects.toMatchObject({
      detail: { holder: `the one that dies (pid ${child.pid})` },
    });

    child.kill('SIGKILL');
    await exited;

    const lock = await lockState(dir, { owner: 'next', waitMs: 0 });
    lock.release();
  });
});

/** A process of its own that holds the lock until it is killed. */
async function holder(dir: string): Promise<ChildProcess> {
  const script = `
    const { lockState } = await import(${JSON.stringify(module)});
    globalThis.lock = await lockState(${JSON.stringify(dir)}, { owner: 'the one that dies', waitMs: 0 });
    console.log('held');
    setInterval(() => {}, 60_000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error('the holder ended'))),
  ]);
  return child;
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}
