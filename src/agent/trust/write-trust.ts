/** How the operator's commands change what `trust-files.ts` reads: each file whole or not at all. */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurable } from '../../kit/durable.ts';
import type { Known } from '../../policy/trust/certificates.ts';
import type { TrustSettings } from '../../policy/trust/trust-settings.ts';
import type { Stored, TrustPlaces } from './trust-files.ts';

/** Where it may be read by the agent, whatever the caller's umask is: nothing of it is secret. */
export function writeSettings({ settings: file }: TrustPlaces, settings: TrustSettings): void {
  const { outbound, whitelist, undated, compat } = settings;
  const { enabled, everyone, audited_payload, partner } = outbound;
  const ordered = { outbound: { enabled, everyone, audited_payload, partner }, whitelist, undated, compat };
  writeReadable(file, `${JSON.stringify(ordered, null, 2)}\n`);
}

/** A certificate that is there already stays where it is. */
export function storeCertificate({ certificates: folder }: TrustPlaces, { id, certificate }: Known): void {
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
  writeReadable(join(folder, `${id.slice(0, 32)}.pem`), certificate.toString());
}

/** Others that are in the same file stay. */
export function removeCertificate(id: string, keystore: readonly Stored[]): void {
  const gone = keystore.find((each) => each.id === id);
  if (!gone) return;
  const left = keystore.filter(({ file, id: other }) => file === gone.file && other !== id);
  if (left.length === 0) rmSync(gone.file, { force: true });
  else writeReadable(gone.file, left.map(({ certificate }) => certificate.toString()).join(''));
}

function writeReadable(file: string, text: string): void {
  writeDurable(file, text);
  chmodSync(file, 0o644);
}
