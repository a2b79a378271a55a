import { beforeEach, describe, expect, it } from 'vitest';
import { Seats } from '../../../../src/server/http/seats.ts';

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

  it('are no more than there are', () => {
    for (const who of [one, two, operator]) seats.take(who);

    expect(() => seats.take(two)).toThrow(busy);
  });

  it('can be taken again by others when they were given back', () => {
    const given = [seats.take(one), seats.take(one), seats.take(two)];

    for (const giveBack of given) giveBack();

    expect(() => [operator, two, one].map((who) => seats.take(who))).not.toThrow();
  });
});
