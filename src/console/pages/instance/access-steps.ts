/** How an endpoint is reached from the computer of whoever looks at it, step by step. */
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import type { EndpointCredential } from '../../lib/credentials.ts';

type Access = InstanceView['access'][number];

/** What to do once the tunnel is open. */
export interface Use {
  readonly kind: 'open' | 'ask' | 'connect';
  /** Address to open, or the command; with the token where it is known. */
  readonly text: string;
  /** True if the token has to be put in by hand. */
  readonly needsToken: boolean;
}

/** The name of a variable stands for a token that is not known here. */
const placeholder = '$TOKEN';

export function useOf({ endpoint, url, bearer_path }: Access, port: number, credential?: EndpointCredential): Use {
  if (url === null) return { kind: 'connect', text: `127.0.0.1:${port}`, needsToken: false };
  if (bearer_path !== null) {
    const token = credential?.endpoint === endpoint ? credential.token : placeholder;
    const address = new URL(bearer_path, url).href;
    const text = `curl -H "Authorization: Bearer ${token}" ${shellWord(address)}`;
    return { kind: 'ask', text, needsToken: token === placeholder };
  }
  if (!credential || credential.url_query === null) return { kind: 'open', text: url, needsToken: true };
  const opened = new URL(url);
  opened.searchParams.set(credential.url_query, credential.token);
  return { kind: 'open', text: opened.href, needsToken: false };
}

/** As a shell takes it for one word, whatever is in it. */
function shellWord(text: string): string {
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
