/** One way to write a host, so that what is compared is the same wherever it came from. */

const shape = /^([A-Za-z0-9_.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])$/;

/**
 * A host as rules have it: lower case, no dot at its end, an address in the one way to write it. Undefined for what is no host; a name
 * in other letters has to be in ASCII already.
 */
export function plainHost(text: string): string | undefined {
  const host = text.replace(/\.+$/, '');
  if (!shape.test(host) || !URL.canParse(`http://${host}/`)) return undefined;
  const { hostname } = new URL(`http://${host}/`);
  return hostname.length <= 253 ? hostname : undefined;
}
