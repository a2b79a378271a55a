import { Readable } from 'node:stream';
import { beforeEach, describe, expect, it } from 'vitest';
import { Seats, whileSeated } from '../../../../src/server/http/seats.ts';

const one = { projectId: 'p1', tokenId: 't1' };
const two = { projectId: 'p2', tokenId: 't2' };
const operator = { projectId: null, tokenId: 't3' };
const busy = expect.objectContaining({ code: 'server.busy' });

let seats: Seats;
beforeEach(() => {
  seats = new Seats({ what: 'streams', all: 3, each: 2 });
});

describe('seats', () => {
  it('are not all for one project, with however many tokens', () => {
    seats.take(one);
    seats.take({ ...one, tokenId: 't9' });

    expect(() => seats.take(one)).toThrow(busy);
    expect(() => seats.take(two)).not.toThrow();
  });

  it('go from the token of a project that has most to one that has fewer, the eldest first', () => {
    const many = new Seats({ what: 'streams', all: 9, each: 4 });
    const greedy = [1, 2, 3, 4].map(() => many.take(one));
    const other = { ...one, tokenId: 't9' };

    const given = [many.take(other), many.take(other)];

    expect(greedy.map(({ lost }) => lost.aborted)).toEqual([true, true, false, false]);
    expect(given.map(({ lost }) => lost.aborted)).toEqual([false, false]);
    for (const who of [one, other]) expect(() => many.take(who)).toThrow(busy);
  });

  it('are no more than there are', () => {
    const given = [one, two, operator].map((who) => seats.take(who));

    expect(() => seats.take(two)).toThrow(busy);
    expect(given.map(({ lost }) => lost.aborted)).toEqual([false, false, false]);
  });

  it('go from who has most to who has fewer where all are taken, the eldest first', () => {
    const first = seats.take(one);
    const second = seats.take(one);
    seats.take(two);

    const third = seats.take(operator);

    expect([first, second, third].map(({ lost }) => lost.aborted)).toEqual([true, false, false]);
    expect(() => seats.take(one)).toThrow(busy);
    // What was lost cannot be given back once more.
    first.leave();
    expect(() => seats.take(two)).toThrow(busy);
  });

  it('are found by everybody where some projects take all they get', () => {
    const many = new Seats({ what: 'streams', all: 500, each: 100 });
    const greedy = Array.from({ length: 20 }, (_, number) => ({ projectId: `greedy ${number}`, tokenId: 't' }));
    const takeAll = (who: (typeof greedy)[number]) => {
      for (;;) many.take(who);
    };

    for (const who of [...greedy, ...greedy]) expect(() => takeAll(who)).toThrow(busy);

    expect(() => [one, two, operator].map((who) => many.take(who))).not.toThrow();
  });

  it('can be taken again by others when they were given back', () => {
    const given = [seats.take(one), seats.take(one), seats.take(two)];

    for (const { leave } of given) leave();

    expect(() => [operator, two, one].map((who) => seats.take(who))).not.toThrow();
  });
});

it('an upload without a body that nobody has begun to read is cut off when its seat goes to another', async () => {
  const few = new Seats({ what: 'uploads', all: 9, each: 2 });
  const { promise: waits, reject } = Promise.withResolvers<void>();
  const sent = [Readable.from([]), Readable.from([])];
  const uploads = sent.map((each) => whileSeated(few.take(one), each, () => waits));

  few.take({ ...one, tokenId: 't9' });

  // What a stream tells without a listener ends the process a moment later.
  await new Promise((resolve) => setImmediate(resolve));
  expect(sent.map(({ destroyed }) => destroyed)).toEqual([true, false]);
  reject(new Error('over'));
  await Promise.allSettled(uploads);
});
