import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { engineFileChecks } from '../../../../src/host/doctor/engine-file-checks.ts';
import { patience, pretendRoot, testFolder } from '../stand-ins.ts';

const day = 86_400_000;

it.each([
  ['{"log-driver":"json-file","log-opts":{"max-size":"10m","max-file":"3"}}', 'ok', 'at 10m'],
  ['{"log-driver":"journald"}', 'ok', 'journald'],
  ['{"live-restore":true}', 'warn', 'no `max-size`'],
  ['{"live-restore":true,}', 'fail', 'will not start again'],
  ['', 'warn', 'There is no /etc/docker/daemon.json'],
])('judges %j by what bounds the logs of containers', async (text, status, words) => {
  const { 'engine.log_rotation': found } = await diagnose({ 'etc/docker/daemon.json': text });

  expect(found).toMatchObject({ status, found: expect.stringContaining(words) });
});

it('wants a CA for a registry that can be read and is good for a while yet', async () => {
  const host = 'registry.example.com:5000';
  const file = `etc/docker/certs.d/${host}/ca.crt`;
  const pem = certificate();
  const ends = Date.parse(new X509Certificate(pem).validTo);
  const at = async (text: string, now: number) =>
    (await diagnose({ [file]: text }, [host], now))['engine.registry_trust'];

  expect(await at(pem, ends - 40 * day)).toMatchObject({ status: 'ok', found: expect.stringContaining(`/${file}`) });
  expect(await at(pem, ends - 5 * day)).toMatchObject({
    status: 'warn',
    fix: expect.stringContaining('--registry-ca'),
  });
  expect(await at(pem, ends + day)).toMatchObject({ status: 'fail', found: expect.stringContaining('is over since') });
  expect(await at('-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n', ends)).toMatchObject({
    status: 'fail',
    found: expect.stringContaining('no certificate that can be read'),
  });
});

it('leaves registries to the CAs of the system, and this host to itself', async () => {
  const { 'engine.registry_trust': found } = await diagnose({}, ['ghcr.example', '127.0.0.1:5000']);
  const { 'engine.registry_trust': none } = await diagnose({}, []);

  expect(found).toMatchObject({
    status: 'ok',
    found: 'ghcr.example is trusted by the CAs of the system; 127.0.0.1:5000 is on this host and needs no certificate.',
  });
  expect(none).toMatchObject({ status: 'warn', found: expect.stringContaining('names no registry') });
});

function certificate(): string {
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(testFolder(), name));
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '90', '-subj', '/CN=ca'];
  execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', `${key}`, '-out', `${cert}`], { stdio: 'ignore' });
  return readFileSync(`${cert}`, 'utf8');
}

async function diagnose(
  files: Record<string, string>,
  registries: readonly string[] = ['127.0.0.1:1'],
  now = Date.now(),
) {
  const checks = engineFileChecks({ root: pretendRoot(files), registries, now: () => now });
  return Object.fromEntries((await runChecks(checks, { signal: patience })).map((result) => [result.name, result]));
}
