/**
 * `node-agent trust`: whose manifests of Golem this host carries out. Reads and changes `trust.json` and the folder `trust` beside the
 * configuration, which the daemon reads anew for each job: nothing has to be restarted.
 */
import { configFileOf } from '../../agent/config.ts';
import { type HostTrust, readTrust, type TrustPlaces, trustPlaces } from '../../agent/trust/trust-files.ts';
import { removeCertificate, storeCertificate, writeSettings } from '../../agent/trust/write-trust.ts';
import { AgentError } from '../../contract/failures.ts';
import { type Known, nameOf, readCertificates } from '../../policy/trust/certificates.ts';
import { troubleOf } from '../../policy/trust/chain.ts';
import type { TrustMode, TrustSettings, WhitelistEntry } from '../../policy/trust/trust-settings.ts';
import { readWhitelistEntry } from '../../policy/trust/whitelist.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, table, tell } from '../output.ts';
import { readFileBounded } from '../signed-manifest.ts';
import { showTrust } from './show-trust.ts';

interface TrustOptions {
  readonly config?: string;
  readonly json: boolean;
}

type Rule = 'audited' | 'partner';
type Ruling = TrustMode | 'unset';
type Rulings = { readonly [R in Rule]?: Ruling };
const ruleKeys = { audited: 'audited_payload', partner: 'partner' } as const;

export async function listTrust(options: TrustOptions): Promise<number> {
  const places = placesOf(options);
  showTrust(places, await readTrust(places), options.json);
  return exitCodes.ok;
}

/** Certificates of the file; the rule is for the one that vouches for none of the others. */
export async function addCertificate(file: string, options: TrustOptions & Rulings): Promise<number> {
  const places = placesOf(options);
  const { settings } = await readTrust(places);
  const read = readCertificates(await readFileBounded(file));
  if (!read.ok) throw new AgentError('file.unusable', { reason: `${file} ${read.why}.`, file });
  const author = authorOf(read.certificates, file);
  const rulings = options.audited === undefined && options.partner === undefined ? allOfAudited : options;
  for (const known of read.certificates) storeCertificate(places, known);
  writeSettings(places, ruled(settings, author.id, rulings));
  for (const known of read.certificates) {
    const trouble = troubleOf(known, Date.now());
    if (trouble !== undefined) tell(`warning: ${nameOf(known)} ${trouble}: nothing that it has signed is accepted.`);
  }
  if (!options.json) printLine(`Known from now on: ${read.certificates.map(nameOf).join(', ')}.`);
  showTrust(places, await readTrust(places), options.json);
  return exitCodes.ok;
}

const allOfAudited: Rulings = { audited: 'all' };

function authorOf(certificates: readonly Known[], file: string): Known {
  const authors = certificates.filter(({ certificate }) =>
    certificates.every(
      (other) => other.certificate === certificate || other.certificate.issuer !== certificate.subject,
    ),
  );
  const [author, ...others] = authors;
  if (author && others.length === 0) return author;
  const reason = `${file} holds the certificates of several: add each from a file of its own.`;
  throw new AgentError('command.invalid', { reason });
}

/** The certificate and its rules. Of one that is not there nothing is changed. */
export async function removeTrust(id: string, options: TrustOptions): Promise<number> {
  const places = placesOf(options);
  const trust = await readTrust(places);
  const whole = wholeId(id, trust, 'may be absent');
  if (whole !== undefined) {
    writeSettings(places, ruled(trust.settings, whole, { audited: 'unset', partner: 'unset' }));
    for (let left = trust; left.keystore.some((each) => each.id === whole); left = await readTrust(places)) {
      removeCertificate(whole, left.keystore);
    }
  }
  if (!options.json) printLine(whole === undefined ? 'There is no such certificate.' : `Not known any more: ${whole}.`);
  showTrust(places, await readTrust(places), options.json);
  return exitCodes.ok;
}

interface RuleOptions extends TrustOptions, Rulings {
  readonly outbound?: 'on' | 'off';
  readonly everyone?: TrustMode;
  readonly undated?: TrustSettings['undated'];
  readonly compat?: TrustSettings['compat'];
}

export async function setRules(id: string | undefined, options: RuleOptions): Promise<number> {
  const { outbound, everyone, undated, compat, audited, partner } = options;
  const isAboutOne = audited !== undefined || partner !== undefined;
  if (isAboutOne !== (id !== undefined)) {
    throw new AgentError('command.invalid', {
      reason: '--audited and --partner want the ID of a certificate, and it wants one of them.',
    });
  }
  const places = placesOf(options);
  const trust = await readTrust(places);
  const whole = id === undefined ? undefined : wholeId(id, trust, 'must be there');
  const settings: TrustSettings = {
    ...trust.settings,
    ...(undated && { undated }),
    ...(compat && { compat }),
    outbound: {
      ...trust.settings.outbound,
      ...(outbound && { enabled: outbound === 'on' }),
      ...(everyone && { everyone }),
    },
  };
  const isAsked = isAboutOne || [outbound, everyone, undated, compat].some((each) => each !== undefined);
  if (isAsked) writeSettings(places, whole === undefined ? settings : ruled(settings, whole, options));
  showTrust(places, await readTrust(places), options.json);
  return exitCodes.ok;
}

/** Patterns that are there already, or are not there, change nothing. */
export async function changeWhitelist(
  action: 'add' | 'remove' | 'list' | undefined,
  patterns: readonly string[],
  options: TrustOptions & { readonly regex: boolean },
): Promise<number> {
  const { regex, json } = options;
  const isChange = action === 'add' || action === 'remove';
  if (isChange !== patterns.length > 0) {
    throw new AgentError('command.invalid', { reason: isChange ? 'Say which hosts.' : 'A list takes no hosts.' });
  }
  const places = placesOf(options);
  const { settings } = await readTrust(places);
  const entries = patterns.map((pattern) => entryOf(pattern, regex ? 'regex' : 'strict'));
  const whitelist = action === 'add' ? withAll(settings.whitelist, entries) : without(settings.whitelist, entries);
  if (isChange) writeSettings(places, { ...settings, whitelist });
  if (action === 'add' && regex) tell('note: an expression is found anywhere in a name; ^ and $ hold it to the whole.');
  if (json) printJson({ whitelist });
  else if (whitelist.length === 0) printLine('The whitelist is empty.');
  else printLine(table([['MATCH', 'PATTERN'], ...whitelist.map(({ match, pattern }) => [match, pattern])]));
  return exitCodes.ok;
}

function withAll(list: readonly WhitelistEntry[], entries: readonly WhitelistEntry[]): WhitelistEntry[] {
  return [...new Map([...list, ...entries].map((entry) => [`${entry.match} ${entry.pattern}`, entry])).values()];
}

function without(list: readonly WhitelistEntry[], entries: readonly WhitelistEntry[]): WhitelistEntry[] {
  return list.filter(({ match, pattern }) => !entries.some((each) => each.match === match && each.pattern === pattern));
}

function entryOf(pattern: string, match: 'strict' | 'regex') {
  const read = readWhitelistEntry({ pattern, match });
  if (read.ok) return { pattern: read.entry.pattern, match };
  throw new AgentError('command.invalid', { reason: `${JSON.stringify(pattern)} ${read.why}.` });
}

function placesOf({ config }: TrustOptions): TrustPlaces {
  return trustPlaces(configFileOf(config, process.env));
}

function ruled(settings: TrustSettings, id: string, rulings: Rulings): TrustSettings {
  const outbound = { ...settings.outbound };
  for (const rule of ['audited', 'partner'] as const) {
    const mode = rulings[rule];
    const { [id]: _before, ...others } = outbound[ruleKeys[rule]];
    if (mode !== undefined) outbound[ruleKeys[rule]] = mode === 'unset' ? others : { ...others, [id]: mode };
  }
  return { ...settings, outbound };
}

/** Shortest beginning of an ID that is taken for it. */
const leastDigits = 8;

/** Out of its beginning; also of a certificate that only has rules. */
function wholeId(begun: string, trust: HostTrust, expected: 'must be there' | 'may be absent'): string | undefined {
  const digits = begun.replace(/…$/, '').toLowerCase();
  if (!/^[0-9a-f]+$/.test(digits) || digits.length < leastDigits) {
    throw new AgentError('command.invalid', {
      reason: `An ID is hexadecimal; its first ${leastDigits} digits are enough.`,
    });
  }
  const { audited_payload, partner } = trust.settings.outbound;
  const known = new Set([
    ...trust.keystore.map(({ id }) => id),
    ...Object.keys(audited_payload),
    ...Object.keys(partner),
  ]);
  const found = [...known].filter((id) => id.startsWith(digits));
  if (found.length > 1)
    throw new AgentError('command.invalid', { reason: `${begun} begins several IDs: give more of it.` });
  if (found.length === 0 && expected === 'must be there') {
    throw new AgentError('command.invalid', {
      reason: `There is no certificate ${begun}: \`node-agent trust list\` shows all.`,
    });
  }
  return found[0];
}
