import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GiveBackWhenQuiet, giveBackMemory } from '../../../src/kit/give-back-memory.ts';

describe('memory', () => {
  it('is given back: what nobody holds is gone', async () => {
    const held = { bytes: Buffer.alloc(1024) };
    const kept = new WeakRef(held);
    const lost = new WeakRef({ bytes: Buffer.alloc(1024) });
    await new Promise((later) => setImmediate(later));

    await giveBackMemory();

    expect(lost.deref()).toBeUndefined();
    expect(kept.deref()).toBe(held);
    expect(globalThis.gc).toBeUndefined();
  });
});

describe('after a busy time', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('it is given back once, as soon as nothing has happened for long enough', () => {
    const giveBack = vi.fn(async () => undefined);
    const memory = new GiveBackWhenQuiet(1000, giveBack);

    vi.advanceTimersByTime(900);
    memory.busy();
    vi.advanceTimersByTime(900);
    expect(giveBack).not.toHaveBeenCalled();
    vi.advanceTimersByTime(10_000);
    expect(giveBack).toHaveBeenCalledTimes(1);

    memory.busy();
    vi.advanceTimersByTime(1000);
    expect(giveBack).toHaveBeenCalledTimes(2);
  });

  it('nothing is given back by what was closed', () => {
    const giveBack = vi.fn(async () => undefined);
    new GiveBackWhenQuiet(1000, giveBack).close();

    vi.advanceTimersByTime(10_000);

    expect(giveBack).not.toHaveBeenCalled();
  });
});
