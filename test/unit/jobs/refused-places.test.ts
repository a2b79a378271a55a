import { describe, expect, it } from 'vitest';
import { RefusedPlaces } from '../../../src/jobs/refused-places.ts';

const line = (host: string, over = {}) =>
  JSON.stringify({
    time: '',
    refused: 'not_listed',
    host,
    port: 443,
    scheme: null,
    reason: `${host} is not listed.`,
    ...over,
  });

function places() {
  const told: [string, unknown][] = [];
  let now = 0;
  const later = (ms: number) => {
    now += ms;
  };
  const refused = new RefusedPlaces(
    (message, { count }) => told.push([message, count]),
    () => now,
  );
  return { told, refused, later };
}

describe('what a proxy has refused', () => {
  it('is told with the place that was asked for, once in a while however often', () => {
    const { told, refused, later } = places();
    const said = ['a', 'a', 'b', 'a'].map((host) => refused.read(line(host)));
    later(60_000);
    refused.read(line('a'));

    expect(said).toEqual([true, false, true, false]);
    expect(told).toEqual([
      ['Refused by the proxy: a is not listed.', 1],
      ['Refused by the proxy: b is not listed.', 1],
      ['Refused by the proxy: a is not listed. (3 times)', 3],
    ]);
  });

  it('is counted at the end, and of very many places only that there were', () => {
    const { told, refused } = places();
    refused.read(line('0'));
    refused.read(line('0'));
    for (let index = 0; index < 150; index += 1) refused.read(line(String(index)));
    refused.end();

    expect(told).toHaveLength(102);
    expect(told.at(-2)).toEqual(['Refused by the proxy: 0 is not listed. (2 times)', 2]);
    expect(told.at(-1)).toEqual(['50 more attempts to reach other places were refused.', 50]);
  });

  it('is counted where the proxy has left lines out, of a place that was told as well', () => {
    const { told, refused } = places();
    const odd = ['7', -7, 1.5, null].map((left_out) => line('a', { left_out }));
    for (const text of [line('a', { left_out: 30 }), line('a', { left_out: 5 }), ...odd]) refused.read(text);
    refused.end();

    expect(told).toEqual([
      ['Refused by the proxy: a is not listed.', 1],
      ['Refused by the proxy: a is not listed. (5 times)', 5],
      ['35 more attempts to reach other places were refused.', 35],
    ]);
  });

  it('is nothing where a line says something else', () => {
    const { told, refused } = places();
    for (const text of ['', 'x', '{}', '{"listening":"10.1.1.1:3128"}', '[]', '1', 'null']) refused.read(text);

    expect(told).toEqual([]);
  });
});
