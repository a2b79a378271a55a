/** Documents with one change anywhere in them: something left out, added, or put in the place of something else. */
import fc from 'fast-check';

/** `texts`: what is put there besides values of each kind. */
export function changedDocument(documents: readonly unknown[], texts: readonly string[] = []): fc.Arbitrary<unknown> {
  return fc
    .record({
      document: fc.constantFrom(...documents),
      at: fc.nat(10_000),
      change: fc.constantFrom('drop', 'replace', 'add'),
      value: fc.oneof(fc.constantFrom(null, true, 7, '', 'text', ...texts), fc.constant([]), fc.constant({})),
    })
    .map(({ document, at, change, value }) => {
      const copy = structuredClone(document);
      const spots: { holder: Record<string, unknown>; key: string }[] = [];
      const walk = (node: unknown) => {
        if (typeof node !== 'object' || node === null) return;
        for (const key of Object.keys(node)) {
          spots.push({ holder: node as Record<string, unknown>, key });
          walk((node as Record<string, unknown>)[key]);
        }
      };
      walk(copy);
      const { holder, key } = spots[at % spots.length] as (typeof spots)[number];
      if (change === 'replace') holder[key] = value;
      else if (change === 'add' && !Array.isArray(holder)) holder['unheard_of'] = value;
      else if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[key];
      return copy;
    });
}
