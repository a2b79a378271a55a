/**
 * Whose manifests this host carries out, on its disk: `trust.json`, and a folder `trust` with certificates as PEM, both beside the
 * configuration of the agent. The operator writes them, the agent only reads them: anew for each job that brings a manifest.
 */
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AgentError } from '../../contract/failures.ts';
import { judge } from '../../contract/validate.ts';
import type { ManifestTrust } from '../../jobs/judge-manifest.ts';
import { namesIn } from '../../kit/names-in.ts';
import { type Keystore, type Known, readCertificates } from '../../policy/trust/certificates.ts';
import { TrustSettings } from '../../policy/trust/trust-settings.ts';
import { readWhitelistEntry } from '../../policy/trust/whitelist.ts';
import { defaultsOf, isObject, type JsonObject, merge } from '../config-layers.ts';
import { readDocument } from '../read-document.ts';

export interface TrustPlaces {
  readonly settings: string;
  /** Folder of the certificates. */
  readonly certificates: string;
}

/** A certificate of the keystore, and the file that it is in. */
export interface Stored extends Known {
  readonly file: string;
}

export interface HostTrust {
  readonly settings: TrustSettings;
  readonly keystore: readonly Stored[];
}

const most = { files: 256, fileBytes: 2 ** 18 };

/** `configFile`: of the agent. */
export function trustPlaces(configFile: string): TrustPlaces {
  const folder = dirname(configFile);
  return { settings: join(folder, 'trust.json'), certificates: join(folder, 'trust') };
}

/** What jobs ask whose manifests they may carry out. */
export function manifestTrust(configFile: string): ManifestTrust {
  const places = trustPlaces(configFile);
  return { read: () => readTrust(places), now: Date.now };
}

/** Where there is nothing, what is settled by default. `trust.unusable` with the file where anything of it is wrong. */
export async function readTrust(places: TrustPlaces): Promise<HostTrust> {
  const [settings, keystore] = await Promise.all([readSettings(places.settings), readKeystore(places.certificates)]);
  return { settings, keystore };
}

async function readSettings(file: string): Promise<TrustSettings> {
  // What has no keys is no default there.
  const settings: JsonObject = { outbound: { audited_payload: {}, partner: {} } };
  merge(settings, defaultsOf(TrustSettings), 'default', {});
  merge(settings, await readObject(file), file, {});
  const judged = judge(TrustSettings, settings);
  const errors = judged.ok ? errorsOfWhitelist(judged.value) : judged.errors;
  if (judged.ok && errors.length === 0) return judged.value;
  const [first, ...others] = errors.map(({ path, message }) => `${path || '/'} ${message}`);
  const more = others.length > 0 ? ` (and ${others.length} more)` : '';
  throw unusable(file, `holds no trust settings: ${first}${more}`, { errors: errors.map((error) => ({ ...error })) });
}

function errorsOfWhitelist({ whitelist }: TrustSettings) {
  return whitelist.flatMap((entry, index) => {
    const read = readWhitelistEntry(entry);
    return read.ok ? [] : [{ path: `/whitelist/${index}/pattern`, code: 'pattern', message: read.why }];
  });
}

async function readObject(file: string): Promise<JsonObject> {
  let value: unknown;
  try {
    value = await readDocument(file, { mayBeQuoted: true, failure: 'trust.unusable' });
  } catch (error) {
    if (error instanceof AgentError && isAbsent(error.cause)) return {};
    throw error;
  }
  if (!isObject(value)) throw unusable(file, 'holds no JSON object');
  return value;
}

async function readKeystore(folder: string): Promise<Stored[]> {
  const names = (await namesOf(folder)).filter((name) => name.endsWith('.pem')).sort();
  if (names.length > most.files) throw unusable(folder, `holds ${names.length} files, and ${most.files} are the most`);
  const stored = new Map<string, Stored>();
  for (const file of names.map((name) => join(folder, name))) {
    for (const known of await readCertificateFile(file)) {
      if (!stored.has(known.id)) stored.set(known.id, { ...known, file });
    }
  }
  return [...stored.values()];
}

async function namesOf(folder: string): Promise<readonly string[]> {
  try {
    return await namesIn(folder);
  } catch (error) {
    throw unusable(folder, `cannot be read: ${codeOf(error)}`, {}, error);
  }
}

/** Certificates of a file, in their order. `trust.unusable`. */
async function readCertificateFile(file: string): Promise<Keystore> {
  let bytes: Buffer;
  try {
    const { size } = await stat(file);
    if (size > most.fileBytes) throw unusable(file, `is larger than ${most.fileBytes} bytes`);
    bytes = await readFile(file);
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw unusable(file, `cannot be read: ${codeOf(error)}`, {}, error);
  }
  const read = readCertificates(bytes);
  if (!read.ok) throw unusable(file, read.why);
  return read.certificates;
}

function unusable(file: string, complaint: string, detail: Record<string, unknown> = {}, cause?: unknown): AgentError {
  return new AgentError('trust.unusable', { reason: `${file} ${complaint}.`, file, ...detail }, { cause });
}

function isAbsent(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException | undefined)?.code ?? 'error';
}
