import { generateKeyPairSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { discreetText } from '../../../../src/agent/diagnostics/discreet-text.ts';

const part = 'Zk3_'.repeat(11).slice(0, 43);

it('takes out the secrets that are known, in each spelling', () => {
  const secret = 'correct "horse" battery';
  const clean = discreetText([secret]);

  const text = clean(
    `${secret} ${JSON.stringify({ said: secret })} ${Buffer.from(secret).toString('base64')} and the rest`,
  );

  expect(text).not.toMatch(/horse|Y29ycmVjd/);
  expect(text).toContain('and the rest');
});

it.each([
  ['a join token', `0123456789abcdef.${part}.${part}`],
  ['an API token', `gpuaas_0123456789abcdef_${part}`],
  ['half a join token', `0123456789abcdef.${part}`],
  ['a key as JSON has it', JSON.stringify({ kty: 'OKP', d: part })],
  ['a key within a text within JSON', JSON.stringify(JSON.stringify({ kty: 'OKP', d: part }))],
  ['the bearer of a session', `0190a000-0000-7000-8000-000000000001.17.${part}`],
  ['a sealed value', `eyJhbGciOiJFQ0RILUVTIn0..${part}.abc.def`],
  ['a header', `Authorization: Bearer ${part}`],
  ['a password in a URL', 'https://user:hunter22@registry.example.com/v2/'],
  ['a named password', '"password": "hunter22hunter22"'],
  ['a private key', generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()],
])('takes out %s, whoever wrote it down', (_what, secret) => {
  const text = discreetText([])(`before ${secret} after`);

  expect(text).toContain('[redacted]');
  expect(text).toMatch(/^before /);
  for (const piece of [part, 'hunter22', 'MC4CAQ']) expect(text).not.toContain(piece);
});

it('leaves alone what a reader needs: ids, digests, times, paths, versions', () => {
  const text = [
    `0190a000-0000-7000-8000-000000000001 sha256:${'d'.repeat(64)}`,
    '2026-11-26T11:00:00.000Z /var/lib/gpuaas-node-agent/task-logs/0190a000.ndjson registry.example.com:5000',
    'GPU-5c1b1a6e-0c7c-4a39-9d7b-0d6f5f9d7a11 node-agent 0.2.0 28.2.2+dfsg1',
  ].join('\n');

  expect(discreetText(['unrelated secret'])(text)).toBe(text);
});
