/** Stands where a secret was, or the part of a text that is one; a document with it is as valid as before. */
export const secretMark = 'secret';
