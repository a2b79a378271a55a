/** A browser that has signed in with a token. */
import { type Static, Type } from 'typebox';
import { closed, id, secretHash, time } from './fields.ts';

export const Session = Type.Object(
  {
    id: id('Public part of the cookie.'),
    token_id: id('The token that it was opened with, and whose end is its own.'),
    cookie_hash: secretHash('sha256 of the half that the browser keeps as a cookie.'),
    page_hash: secretHash('sha256 of the half that the page keeps and sends as `x-gpuaas-csrf`.'),
    created_at: time('When it was opened.'),
    used_at: time('When it was last used, to a few minutes: it ends after twelve hours without.'),
  },
  { ...closed, description: 'A session of a browser. Its two halves are kept as hashes.' },
);
export type Session = Static<typeof Session>;
