import fc from 'fast-check';

/** Every character but halves of pairs. What fast-check has as `binary` takes two seconds to be made. */
export const anyCharacter = fc
  .oneof(fc.nat(0xff), fc.nat(0x10_f7ff))
  .map((place) => String.fromCodePoint(place < 0xd800 ? place : place + 0x800));
