import { expect, it } from 'vitest';
import { documentHash, putSecrets, takeSecrets } from '../../../src/manifests/job-secrets.ts';
import { readDocument } from '../../../src/manifests/read-document.ts';
import { secretMark } from '../../../src/manifests/secret-mark.ts';

it('a secret that an alias of YAML repeats is taken out at each of its places, and comes back to each', () => {
  const read = readDocument('one: &login {password: hunter2}\ntwo: *login\n');
  const whole = { one: { password: 'hunter2' }, two: { password: 'hunter2' } };
  if (!read.ok) throw new Error('The document cannot be read');

  const { document, secrets } = takeSecrets(read.value, { '/one/password': secretMark, '/two/password': secretMark });

  expect(JSON.stringify(document)).not.toContain('hunter2');
  expect(secrets).toEqual({ '/one/password': 'hunter2', '/two/password': 'hunter2' });
  expect(putSecrets(document, secrets)).toEqual(whole);
  expect(read.value).toEqual(whole);
});

it('the hash of a document is of what it says, in JSON as in YAML, and not of its secrets', () => {
  const at = { '/login/password': secretMark };
  const submitted = { login: { user: 'ada', password: 'hunter2' }, ops: [1] };
  const inYaml = readDocument('ops: [1]\nlogin:\n  password: hunter2\n  user: ada\n');
  if (!inYaml.ok) throw new Error('The document cannot be read');

  const hash = documentHash(submitted, at);

  expect(documentHash(inYaml.value, at)).toBe(hash);
  expect(documentHash(takeSecrets(submitted, at).document, at)).toBe(hash);
  expect(documentHash({ ...submitted, login: { user: 'ada', password: 'other' } }, at)).toBe(hash);
  expect(documentHash({ ...submitted, ops: [2] }, at)).not.toBe(hash);
});
