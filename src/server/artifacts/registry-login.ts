/** Logs in to a registry that is not ours, in the way that it asks for: by password, or by a token of its token service. */
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { judgeKnown } from '../../contract/validate.ts';
import { type PullAuthorization, registryAddress } from './registry-client.ts';

export interface Login {
  readonly username: string;
  readonly password: string;
}

const timeoutMs = 10_000;
const maxToken = 64 * 1024;
const Answer = Type.Object({ token: Type.Optional(Type.String()), access_token: Type.Optional(Type.String()) });

/** Undefined for nobody: many registries give nobody a token as well, for what is public. */
export function registryLogin(login: Login | undefined, signal: AbortSignal): PullAuthorization {
  const basic = login && `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`;
  return async (repository) => {
    const { origin, path } = registryAddress(repository);
    const answer = await ask(`${origin}/v2/`, undefined, signal);
    await answer.body?.cancel();
    const challenge = answer.status === 401 ? readChallenge(answer.headers.get('www-authenticate') ?? '') : undefined;
    if (challenge === undefined) return basic;
    const url = tokenAddress(challenge, origin, path);
    const given = await ask(url, basic, signal);
    if (given.status === 401 || given.status === 403) {
      await given.body?.cancel();
      throw new AgentError('artifact.unauthorized', { reason: `${origin} does not know this account.` });
    }
    const token = await tokenIn(given);
    if (token === undefined) {
      throw new AgentError('artifact.unreachable', { reason: `The token service of ${origin} gave no token.` });
    }
    return `Bearer ${token}`;
  };
}

interface Challenge {
  readonly realm: string;
  readonly service: string | undefined;
}

/** Undefined where no token is asked for. */
function readChallenge(header: string): Challenge | undefined {
  if (!/^bearer /i.test(header)) return undefined;
  const fields = new Map(
    [...header.matchAll(/([a-z]+)="([^"]*)"/gi)].map(([, name = '', value = '']) => [name, value]),
  );
  const realm = fields.get('realm');
  return realm === undefined ? undefined : { realm, service: fields.get('service') };
}

/** A password goes there, so it has to be a place that the registry can be meant to use: the web, encrypted, or this machine. */
function tokenAddress({ realm, service }: Challenge, origin: string, path: string): string {
  const url = URL.parse(realm);
  const isOurs = url?.protocol === 'http:' && origin.startsWith('http:') && url.hostname === new URL(origin).hostname;
  if (url === null || (url.protocol !== 'https:' && !isOurs)) {
    throw new AgentError('artifact.unreachable', { reason: `${origin} sends us to what is no https address.` });
  }
  if (service !== undefined) url.searchParams.set('service', service);
  url.searchParams.set('scope', `repository:${path}:pull`);
  return url.href;
}

async function ask(url: string, authorization: string | undefined, signal: AbortSignal): Promise<Response> {
  const bound = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const headers = authorization === undefined ? {} : { authorization };
  try {
    return await fetch(url, { headers, redirect: 'manual', signal: bound });
  } catch (error) {
    throw new AgentError('artifact.unreachable', { reason: `Asked ${new URL(url).origin}.` }, { cause: error });
  }
}

async function tokenIn(response: Response): Promise<string | undefined> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const piece of response.body ?? []) {
    text += decoder.decode(piece, { stream: true });
    if (text.length > maxToken) return undefined;
  }
  const judged = judgeKnown(Answer, tryJson(text));
  return judged.ok ? (judged.value.token ?? judged.value.access_token) : undefined;
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
