/**
 * Takes secrets out of the texts of a bundle: those that this host can open as they are, and beside them whatever has the
 * shape of one. The texts have been through the redaction of logs and tasks before; this is for what got past it.
 */
import { redactText } from '../../kit/log.ts';
import { HiddenTexts } from '../hidden-texts.ts';

/** Shapes of what is never of use to a reader: sealed and signed tokens, keys, and tokens of ours (id, then random bytes). */
const shapes: readonly RegExp[] = [
  /-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]{0,10000}?-----END [A-Z ]{0,30}PRIVATE KEY-----/g,
  // The private part of a JWK, also within a text within JSON.
  /\b[dk]\\{0,4}"\s{0,4}:\s{0,4}\\{0,4}"[\w-]{20,}/g,
  /\bgpuaas_[0-9a-f]{16}_[\w-]{43}/g,
  /\beyJ[\w-]{8,}(?:\.[\w-]*){1,4}/g,
  /(?<![\w-])[\w-]{1,80}(?:\.\d{1,16})?\.[\w-]{43}(?:\.[\w-]{43})?(?![\w-])/g,
];

/** `secrets`: what is known, in the clear. */
export function discreetText(secrets: Iterable<string | Buffer>): (text: string) => string {
  const hidden = new HiddenTexts();
  for (const secret of secrets) hidden.hide(secret);
  return (text) => shapes.reduce((rest, shape) => rest.replace(shape, '[redacted]'), redactText(hidden.clean(text)));
}
