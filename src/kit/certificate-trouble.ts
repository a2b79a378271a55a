/** Tells trouble with a certificate from trouble with the network, by the codes of Node. */

/** Whether a connection failed because the other side could not prove who it is. */
export function isCertificateTrouble(error: unknown): boolean {
  const { code = '' } = (error ?? {}) as { readonly code?: string };
  return /CERT|^ERR_TLS|^UNABLE_TO_|SELF_SIGNED/.test(code);
}
