import { describe, expect, it } from 'vitest';
import { BuildTurns } from '../../../src/gate/build-turns.ts';

const never = new AbortController().signal;

describe('turns of builds', () => {
  it('begin no build while something is taken away, and say whose are at work', async () => {
    const turns = new BuildTurns(2);
    const removal = Promise.withResolvers<void>();
    const build = Promise.withResolvers<void>();
    const log: string[] = [];
    const removed = turns.remove(async (isBuilding) => {
      log.push(`before: ${isBuilding()}`);
      await removal.promise;
      log.push('removed');
    });
    const built = turns.run('project-1', never, async () => {
      log.push('builds');
      await build.promise;
    });

    removal.resolve();
    await removed;
    await expect.poll(() => log).toEqual(['before: false', 'removed', 'builds']);
    const ofEach = async () =>
      await turns.remove(async (isBuilding) => [isBuilding(), isBuilding('project-1'), isBuilding('project-2')]);
    expect(await ofEach()).toEqual([true, true, false]);
    build.resolve();
    await built;
    expect(await ofEach()).toEqual([false, false, false]);
  });

  it('are over with a build that fails, and with one of two of a project only its own', async () => {
    const turns = new BuildTurns(2);
    const other = Promise.withResolvers<void>();
    const still = turns.run('project-1', never, () => other.promise);

    await expect(turns.run('project-1', never, () => Promise.reject(new Error('no')))).rejects.toThrow('no');

    expect(await turns.remove(async (isBuilding) => isBuilding('project-1'))).toBe(true);
    other.resolve();
    await still;
    expect(await turns.remove(async (isBuilding) => isBuilding('project-1'))).toBe(false);
  });

  it('are not over where a build is given up that the engine has still to end', async () => {
    const turns = new BuildTurns(2);
    const ended = Promise.withResolvers<void>();
    const log: string[] = [];
    const built = turns.run('project-1', never, async (giveUp) => {
      giveUp();
      await ended.promise;
      log.push('ended');
    });
    const other = Promise.withResolvers<void>();
    const atWork = turns.run('project-2', never, () => other.promise);
    await expect.poll(() => turns.remove(async (isBuilding) => isBuilding('project-2'))).toBe(true);

    const removed = turns.remove(async (isBuilding) => {
      log.push(`before: ${isBuilding('project-1')}`);
      await turns.givenUp(never);
      log.push(`afterwards: ${isBuilding('project-1')}, ${isBuilding('project-2')}`);
    });
    await expect.poll(() => log).toEqual(['before: true']);
    ended.resolve();
    await Promise.all([built, removed]);

    expect(log).toEqual(['before: true', 'ended', 'afterwards: false, true']);
    other.resolve();
    await atWork;
  });
});
