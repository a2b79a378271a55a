/** Whoever wants something of a registry gets it here: people with an API token, nodes with the bearer of their session. */
import { Type } from 'typebox';
import { RegistryCredentialAnswer, RegistryCredentialRequest } from '../../contract/enrolment.ts';
import { registryCredentialsPath } from '../../contract/signing.ts';
import { platform } from '../http/access.ts';
import { openRoute, type Route } from '../http/route.ts';
import { whoIs } from '../http/tokens.ts';
import { nodeAsking } from '../hub/admission.ts';
import { type PullCredentialParts, pullCredential } from './pull-credential.ts';
import { longestSeconds, makeRegistryToken, readScopes, registryService } from './registry-tokens.ts';

/** What a registry is configured with as `auth.token.realm`, behind our origin. */
export const tokenPath = '/registry/v1/token';

const text = (description: string) => Type.String({ maxLength: 512, description });

const TokenQuery = Type.Object(
  {
    service: Type.Literal(registryService, { description: 'The registry that asks.' }),
    scope: Type.Optional(
      Type.Unsafe<string | string[]>({
        type: ['string', 'array'],
        items: { type: 'string', maxLength: 512 },
        ...{ maxLength: 2048, maxItems: 16 },
        description: 'For example `repository:apps/jupyter:pull,push`; may be given more than once.',
      }),
    ),
    account: Type.Optional(text('User that the client was told; not looked at.')),
    client_id: Type.Optional(text('Program that asks; not looked at.')),
    offline_token: Type.Optional(text('Not given, whatever is asked.')),
  },
  { additionalProperties: false, description: 'A token request, in the words of the registry.' },
);

const TokenAnswer = Type.Object(
  {
    token: Type.String({ description: 'JWT for the registry.' }),
    access_token: Type.String({ description: 'The same.' }),
    expires_in: Type.Integer({ description: 'Seconds it is good for.' }),
    issued_at: Type.String({ description: 'RFC 3339 time.' }),
  },
  { additionalProperties: false, description: 'A token for the registry.' },
);

export function registryRoutes(parts: PullCredentialParts): Route[] {
  return [
    openRoute({
      ...{ method: 'GET', path: tokenPath, tag: 'registry', summary: 'Gives operators a token for the registry.' },
      query: TokenQuery,
      answer: TokenAnswer,
      read: async ({ headers, query, now }, tx) => {
        const who = await whoIs(bearerOfBasic(headers.authorization), tx, now);
        const scopes = readScopes([query.scope ?? []].flat());
        // Everybody else has their images launched, and needs none of them by hand.
        const granted = platform.includes(who.role) ? scopes : [];
        const { token, issuedAt } = await makeRegistryToken(parts.key, who.actor, granted, now);
        return { token, access_token: token, expires_in: longestSeconds, issued_at: issuedAt.toISOString() };
      },
    }),
    openRoute({
      ...{ method: 'POST', path: registryCredentialsPath, tag: 'agent' },
      summary: 'Gives a node the pull credential of a task that it holds.',
      body: RegistryCredentialRequest,
      answer: RegistryCredentialAnswer,
      // It changes nothing, and as a `read` its answer is kept nowhere.
      read: async ({ headers, body, now }, tx) => {
        const node = await nodeAsking(tx, headers.authorization);
        return await pullCredential(parts, node, await tx.tasks.get(body.task_id), now);
      },
    }),
  ];
}

/** Registry clients send user and password; the password is the API token, the user is not looked at. */
function bearerOfBasic(authorization: string | undefined): string | undefined {
  const [, encoded] = /^Basic ([A-Za-z0-9+/=]{1,1024})$/.exec(authorization ?? '') ?? [];
  if (encoded === undefined) return undefined;
  return `Bearer ${Buffer.from(encoded, 'base64')
    .toString()
    .replace(/^[^:]*:/, '')}`;
}
