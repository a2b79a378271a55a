/** A real TLS server on the loopback address, with certificates that openssl made. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer as createPlain } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { type ControlPlaneChecks, controlPlaneChecks } from '../../../../src/host/doctor/control-plane-checks.ts';
import { patience, testFolder } from '../stand-ins.ts';

const day = 86_400_000;

it('says nothing where there is no control plane', async () => {
  const results = await diagnose({ place: undefined });

  expect(Object.values(results).map(({ status }) => status)).toEqual(['skipped', 'skipped', 'skipped']);
});

it('follows the certificates to the CA, and tells when the first of them is over', async () => {
  const { key, cert } = certificate();
  const place = { url: await serveTls(key, cert), ca: [cert] };
  const at = async (days: number) =>
    (await diagnose({ place, now: () => Date.now() + days * day }))['control_plane.tls'];

  expect(await at(0)).toMatchObject({ status: 'ok', found: expect.stringContaining('1 certificates lead to a CA') });
  expect(await at(25)).toMatchObject({ status: 'warn', found: expect.stringContaining('days more') });
  expect(await at(31)).toMatchObject({ status: 'fail', found: expect.stringContaining('are over since') });
});

it('fails a certificate that the CA of the enrolment does not vouch for', async () => {
  const { key, cert } = certificate();
  const place = { url: await serveTls(key, cert), ca: [certificate().cert] };

  const { 'control_plane.tls': found } = await diagnose({ place });

  expect(found).toMatchObject({ status: 'fail', found: expect.stringContaining('Nobody who is believed vouches') });
});

it('fails a control plane that nobody answers for', async () => {
  const { key, cert } = certificate();
  const url = await serveTls(key, cert, { closed: true });

  const { 'control_plane.tls': found, 'control_plane.time': time } = await diagnose({ place: { url } });

  expect(found).toMatchObject({ status: 'fail', found: expect.stringContaining('ECONNREFUSED') });
  expect(time).toMatchObject({ status: 'skipped' });
});

it('compares the clock with the date of any answer, by TLS and without', async () => {
  const { key, cert } = certificate();
  const plain = await listen(createPlain((_, response) => response.writeHead(404).end()));
  for (const place of [{ url: await serveTls(key, cert), ca: [cert] }, { url: `http://127.0.0.1:${plain}` }]) {
    const at = async (days: number) =>
      (await diagnose({ place, now: () => Date.now() + days * day }))['control_plane.time'];

    expect(await at(0)).toMatchObject({ status: 'ok' });
    expect(await at(1)).toMatchObject({ status: 'fail', found: expect.stringContaining('ahead of') });
    expect(await at(-1)).toMatchObject({ status: 'fail', found: expect.stringContaining('behind') });
  }
});

it('resolves its name', async () => {
  const place = { url: 'https://cp.example.com:8443' };
  const ask = async (resolve: ControlPlaneChecks['resolve']) =>
    (await diagnose({ place, ...(resolve ? { resolve } : {}) }, 'control_plane.dns'))['control_plane.dns'];
  const nobody = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' });

  expect(await ask(async () => [{ address: '192.0.2.7' }])).toMatchObject({
    status: 'ok',
    found: 'cp.example.com is 192.0.2.7.',
  });
  expect(await ask(() => Promise.reject(nobody))).toMatchObject({
    status: 'fail',
    found: 'cp.example.com cannot be resolved: ENOTFOUND.',
  });
  expect((await diagnose({ place: { url: 'https://[::1]:1' } }))['control_plane.dns']).toMatchObject({ status: 'ok' });
});

/** For 30 days, for 127.0.0.1. */
function certificate() {
  const folder = testFolder();
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const name = ['-subj', '/CN=cp', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '30', '-nodes'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...name, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
}

async function serveTls(key: string, cert: string, { closed = false } = {}): Promise<string> {
  const server = createServer({ key, cert }, (_, response) => response.end('{}'));
  const port = await listen(server);
  if (closed) await new Promise((resolve) => server.close(resolve));
  return `https://127.0.0.1:${port}`;
}

async function listen(server: Server & { closeAllConnections(): void }): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  const { port } = server.address() as AddressInfo;
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return port;
}

async function diagnose(input: ControlPlaneChecks, only?: string) {
  const checks = controlPlaneChecks(input).filter(({ name }) => only === undefined || name === only);
  return Object.fromEntries((await runChecks(checks, { signal: patience })).map((result) => [result.name, result]));
}
