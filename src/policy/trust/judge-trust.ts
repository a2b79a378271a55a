/**
 * Whether the operator of a host lets a manifest be carried out, with each step that led there.
 *
 *   dates ─▶ does it want the network? ─▶ no: accepted
 *                     └─▶ outbound ─▶ everyone, audited_payload, partner: one that accepts is enough
 *
 * Signatures are asked for only where the network is wanted. All three rules are judged, so that whoever is refused reads in one go
 * what each of them lacked.
 */
import { Type } from 'typebox';
import type { PayloadManifest, SignedManifest } from '../../contract/payload-manifest.ts';
import { readStrictJson } from '../../contract/strict-json.ts';
import { judge } from '../../contract/validate.ts';
import { checkTime, timeOf } from '../promises/dates.ts';
import { readNetworkRules } from '../promises/network-rules.ts';
import { type Keystore, nameOf } from './certificates.ts';
import type { TrustMode, TrustSettings } from './trust-settings.ts';
import { type Proof, readBase64, verifyProof } from './verify-proof.ts';
import { whitelistHas } from './whitelist.ts';

export interface TrustQuestion {
  /** What `signed.manifest` says. */
  readonly manifest: PayloadManifest;
  readonly signed: SignedManifest;
  /** The project of the job. */
  readonly project: string;
  readonly settings: TrustSettings;
  readonly keystore: Keystore;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export interface TrustStep {
  readonly what: 'dates' | 'network' | 'outbound' | 'everyone' | 'audited_payload' | 'partner';
  readonly outcome: 'accepted' | 'refused' | 'passed';
  /** A sentence. */
  readonly why: string;
}

export interface TrustVerdict {
  readonly accepted: boolean;
  readonly steps: readonly TrustStep[];
}

/** Which project is a partner, and when. */
const PartnerDocument = Type.Object(
  {
    projectId: Type.String({ minLength: 1, maxLength: 64, description: 'The project that is a partner.' }),
    notBefore: Type.String({ maxLength: 64, description: 'RFC 3339 time from which on it is one.' }),
    notAfter: Type.String({ maxLength: 64, description: 'RFC 3339 time until which it is one.' }),
  },
  { additionalProperties: false, description: 'What makes a project a partner, once it is signed.' },
);

export function judgeTrust(question: TrustQuestion): TrustVerdict {
  const { manifest, settings } = question;
  const dates = stepOfDates(question);
  if (dates.outcome === 'refused') return { accepted: false, steps: [dates] };
  const wish = wishOf(manifest);
  const network: TrustStep = {
    what: 'network',
    outcome: wish.kind === 'none' ? 'accepted' : 'passed',
    why: wishText(wish),
  };
  const steps = [dates, network];
  if (wish.kind === 'none') return { accepted: true, steps };
  if (!settings.outbound.enabled) {
    const why = 'This host lets no job of a manifest have the network (`outbound.enabled`).';
    return { accepted: false, steps: [...steps, { what: 'outbound', outcome: 'refused', why }] };
  }
  const outbound: TrustStep = { what: 'outbound', outcome: 'passed', why: 'This host lets jobs have the network.' };
  const rules = [ofEveryone(question, wish), ofAuditedPayload(question, wish), ofPartner(question, wish)];
  return { accepted: rules.some(({ outcome }) => outcome === 'accepted'), steps: [...steps, outbound, ...rules] };
}

function stepOfDates({ manifest, settings, now }: TrustQuestion): TrustStep {
  const [error] = checkTime(manifest, now);
  if (error) return refuse('dates', `Its ${error.path.slice(1)} ${error.message}.`);
  const { expiresAt } = manifest;
  if (expiresAt !== undefined) return { what: 'dates', outcome: 'passed', why: `It holds until ${expiresAt}.` };
  const why = 'It does not say until when it holds';
  return settings.undated === 'accept'
    ? { what: 'dates', outcome: 'passed', why: `${why}, and this host accepts that.` }
    : refuse('dates', `${why}, and this host asks for that (\`undated\`).`);
}

/** What a manifest wants of the network. */
type Wish =
  | { readonly kind: 'none' }
  | { readonly kind: 'hosts'; readonly hosts: readonly string[] }
  | { readonly kind: 'any'; readonly why: string };

/** What cannot be read is taken for a wish to reach anything. */
function wishOf(manifest: PayloadManifest): Wish {
  const read = readNetworkRules(manifest);
  if (!read.ok) return { kind: 'any', why: `what cannot be read (${read.errors[0]?.path} ${read.errors[0]?.message})` };
  if (read.egress === 'none') return { kind: 'none' };
  const { rules, any_public } = read.egress;
  if (any_public.length > 0) return { kind: 'any', why: 'any public address' };
  return { kind: 'hosts', hosts: [...new Set(rules.map(({ host }) => host))] };
}

function wishText(wish: Wish): string {
  switch (wish.kind) {
    case 'none':
      return 'It asks for no network, and so needs no signature.';
    case 'hosts':
      return `It asks for ${listed(wish.hosts)}.`;
    case 'any':
      return `It asks for ${wish.why}.`;
  }
}

type Rule = 'everyone' | 'audited_payload' | 'partner';

function ofEveryone({ settings }: TrustQuestion, wish: Wish): TrustStep {
  const { everyone } = settings.outbound;
  return byMode('everyone', everyone, wish, settings, `The rule for everyone is \`${everyone}\``);
}

function ofAuditedPayload(question: TrustQuestion, wish: Wish): TrustStep {
  const { manifest, proof } = question.signed;
  if (!proof) return refuse('audited_payload', 'It is not signed.');
  return bySigner('audited_payload', { text: manifest, proof }, question, wish);
}

function ofPartner(question: TrustQuestion, wish: Wish): TrustStep {
  const { partner } = question.signed;
  if (!partner) return refuse('partner', 'Nothing was sent that makes its project a partner.');
  const { document, ...proof } = partner;
  const why = whyNoPartner(document, question);
  return why === undefined ? bySigner('partner', { text: document, proof }, question, wish) : refuse('partner', why);
}

function whyNoPartner(text: string, { project, now }: TrustQuestion): string | undefined {
  const bytes = readBase64(text);
  const read = bytes && readStrictJson(bytes);
  const judged = read?.ok ? judge(PartnerDocument, read.value) : undefined;
  if (!judged?.ok) return 'What was sent to make its project a partner is no such document.';
  const { projectId, notBefore, notAfter } = judged.value;
  if (projectId !== project) return `What was sent makes ${projectId} a partner, and its project is ${project}.`;
  const [from, to] = [timeOf(notBefore), timeOf(notAfter)];
  if (from === undefined || to === undefined) return 'What was sent does not say when its project is a partner.';
  if (now < from) return `Its project is no partner before ${notBefore}.`;
  return now > to ? `Its project was a partner until ${notAfter}.` : undefined;
}

function bySigner(
  rule: Exclude<Rule, 'everyone'>,
  { text, proof }: { readonly text: string; readonly proof: Proof },
  { settings, keystore, now }: TrustQuestion,
  wish: Wish,
): TrustStep {
  const proven = verifyProof(text, proof, keystore, now);
  if (!proven.ok) return refuse(rule, proven.why);
  const rules = settings.outbound[rule];
  const [signer] = proven.chain;
  const by = signer ? nameOf(signer) : 'nobody';
  const decides = proven.chain.find(({ id }) => Object.hasOwn(rules, id));
  const mode = decides && rules[decides.id];
  if (!decides || mode === undefined) {
    return refuse(rule, `It was signed by ${by}, and no certificate of that chain has a rule.`);
  }
  const whose = decides === signer ? 'its own rule' : `the nearest rule, that of ${nameOf(decides)},`;
  return byMode(rule, mode, wish, settings, `It was signed by ${by}; ${whose} is \`${mode}\``);
}

/** `begun`: a sentence without its end. */
function byMode(rule: Rule, mode: TrustMode, wish: Wish, settings: TrustSettings, begun: string): TrustStep {
  switch (mode) {
    case 'all':
      return { what: rule, outcome: 'accepted', why: `${begun}.` };
    case 'none':
      return refuse(rule, `${begun}.`);
    case 'whitelist': {
      const lacking = lackingOf(wish, settings);
      return lacking === undefined
        ? { what: rule, outcome: 'accepted', why: `${begun}, and it has all of its hosts.` }
        : refuse(rule, `${begun}, and it does not have ${lacking}.`);
    }
  }
}

/** What of it is not in the whitelist; undefined where all is. */
function lackingOf(wish: Wish, { whitelist }: TrustSettings): string | undefined {
  if (wish.kind === 'none') return undefined;
  if (wish.kind === 'any') return wish.why;
  const lacking = wish.hosts.filter((host) => !whitelistHas(whitelist, host));
  return lacking.length > 0 ? listed(lacking) : undefined;
}

/** What people read is no longer than what they read it for. */
function listed(hosts: readonly string[]): string {
  const [most, rest] = [hosts.slice(0, 8), hosts.length - 8];
  return `${most.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

function refuse(what: TrustStep['what'], why: string): TrustStep {
  return { what, outcome: 'refused', why };
}
