/** A certificate authority of a test's own, made by openssl. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Authority {
  /** PEM file of its certificate. */
  readonly ca: string;
  /** A certificate for `name`, such as `IP:127.0.0.1`; one of negative `days` has expired. PEM files. */
  issue(name: string, days?: number): { readonly cert: string; readonly key: string };
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

export function authority(folder: string): Authority {
  mkdirSync(folder, { recursive: true });
  const file = (name: string) => join(folder, name);
  const openssl = (...args: readonly string[]) => void execFileSync('openssl', args, { stdio: 'pipe' });
  const [ca, caKey] = [file('ca.pem'), file('ca.key')];
  openssl('req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=a CA', '-keyout', caKey, '-out', ca);
  let count = 0;
  return {
    ca,
    issue: (name, days = 2) => {
      count += 1;
      const [key, asked, names, cert] = ['key', 'csr', 'ext', 'pem'].map((end) => file(`${count}.${end}`)) as [
        ...[string, string, string, string],
      ];
      writeFileSync(names, `subjectAltName=${name}`);
      openssl('req', ...newKey, '-subj', '/CN=a control plane', '-keyout', key, '-out', asked);
      const signed = ['-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-days', String(days), '-extfile', names];
      openssl('x509', '-req', '-in', asked, ...signed, '-out', cert);
      return { cert, key };
    },
  };
}
