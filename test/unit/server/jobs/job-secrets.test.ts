import { expect, it } from 'vitest';
import { readDocument } from '../../../../src/manifests/read-document.ts';
import { putSecrets, takeSecrets } from '../../../../src/server/jobs/job-secrets.ts';

it('a secret that an alias of YAML repeats is taken out at each of its places, and comes back to each', () => {
  const read = readDocument('one: &login {password: hunter2}\ntwo: *login\n');
  const whole = { one: { password: 'hunter2' }, two: { password: 'hunter2' } };
  if (!read.ok) throw new Error('The document cannot be read');

  const { document, secrets } = takeSecrets(read.value, ['/one/password', '/two/password']);

  expect(JSON.stringify(document)).not.toContain('hunter2');
  expect(secrets).toEqual({ '/one/password': 'hunter2', '/two/password': 'hunter2' });
  expect(putSecrets(document, secrets)).toEqual(whole);
  expect(read.value).toEqual(whole);
});
