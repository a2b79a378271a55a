import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { accepted, check, injected, lookUp, names, objectsIn, pathsOf, token } from './accepted-request.ts';
import { dangerous } from './dangerous-options.ts';

const places = objectsIn(accepted.request);

describe('a key that was put into an accepted request', () => {
  it.each(places)('is refused with its path: every dangerous option of the engine at "%s" (G-216)', (place) => {
    for (const [key, values] of Object.entries(dangerous)) {
      for (const value of values) {
        const paths = pathsOf(injected(place, key, value));
        expect(names(paths, `${place}/${token(key)}`), `${key}: ${JSON.stringify(value)} -> ${paths}`).toBe(true);
      }
    }
  });

  it('is refused in every other spelling: engines read keys without regard to case', () => {
    const known = places.flatMap((place) =>
      Object.keys(lookUp(accepted.request, place)).flatMap((key) =>
        [key.toLowerCase(), key.toUpperCase(), ` ${key}`, `${key}\0`]
          .filter((other) => other !== key)
          .map((other) => [place, other]),
      ),
    );
    const all = [
      ...known,
      ...places.flatMap((place) => Object.keys(dangerous).map((key) => [place, key.toLowerCase()])),
    ];

    for (const [place = '', key = ''] of all) {
      if (!Object.hasOwn(lookUp(accepted.request, place), key)) {
        expect(pathsOf(injected(place, key, true)), `${place} ${key}`).toContain(
          `${place}/${token(key.replace('\0', '\uFFFD'))}`,
        );
      }
    }
  });

  it('is refused if it would change the object it is parsed into', () => {
    for (const place of places) {
      const value = { Privileged: true, Binds: ['/:/host'] };
      const wire = JSON.stringify(injected(place, '__proto__', value));

      expect(wire).toContain('__proto__');
      expect(pathsOf(JSON.parse(wire))).toContain(`${place}/__proto__`);
    }
  });

  it('is refused if it is any other word, with any value', () => {
    fc.assert(
      fc.property(fc.constantFrom(...places), fc.string(), fc.jsonValue({ maxDepth: 2 }), (place, key, value) => {
        fc.pre(!/^\d{1,5}\/tcp$|^(Cmd|Entrypoint)$/.test(key) && !Object.hasOwn(lookUp(accepted.request, place), key));
        return names(pathsOf(injected(place, key, value)), `${place}/${token(key)}`);
      }),
      { numRuns: 500 },
    );
  });

  it('is the only thing of its kind: no key of the request may be left out, but for the optional ones', () => {
    const optional = ['/Cmd', '/Entrypoint', '/Healthcheck', '/Labels/gpuaas.endpoints'];
    const removable = places.flatMap((place) =>
      Object.keys(lookUp(accepted.request, place))
        .filter((key) => {
          const request = structuredClone(accepted.request);
          delete lookUp(request, place)[key];
          return check(request).length === 0;
        })
        .map((key) => `${place}/${token(key)}`),
    );

    expect(removable).toEqual(optional);
  });
});
