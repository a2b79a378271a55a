/** Ends tokens together with all that they have made: whoever takes one back does not know what it was used for. */
import { livingStates } from '../../contract/instance-state.ts';
import type { ApiToken } from '../db/entities/project.ts';
import type { ReadTx, Tx } from '../db/store.ts';

/** The tokens, what they have made, those of the instances that they have launched, what those have made, and so on; each once. */
export async function withMade(tx: ReadTx, tokens: readonly ApiToken[]): Promise<ApiToken[]> {
  const all = new Map(tokens.map((token) => [token.id, token]));
  // Grows while it is gone through.
  for (const id of all.keys()) {
    for (const made of [...(await madeBy(tx, id)), ...(await launchedBy(tx, id))]) {
      if (!all.has(made.id)) all.set(made.id, made);
    }
  }
  return [...all.values()];
}

/** Ends everything that this one has made; returns how many worked until now. */
export async function revokeMadeBy(tx: Tx, maker: string, now: number): Promise<number> {
  return revokeAll(tx, await withMade(tx, await madeBy(tx, maker)), now);
}

/** Ends a token and what it has made, if there is one. */
export async function revokeToken(tx: Tx, id: string, now: number): Promise<void> {
  const token = await tx.api_tokens.get(id);
  if (token) await revokeAll(tx, await withMade(tx, [token]), now);
}

function madeBy(tx: ReadTx, id: string): Promise<ApiToken[]> {
  return tx.api_tokens.list({ where: { created_by: id } });
}

/** Whoever launches what acts as a service account can read its token there. */
async function launchedBy(tx: ReadTx, id: string): Promise<ApiToken[]> {
  const launched = await tx.app_instances.list({ where: { created_by: id, state: livingStates } });
  const tokens: ApiToken[] = [];
  for (const { service_token_id: tokenId } of launched) {
    const token = tokenId === undefined ? undefined : await tx.api_tokens.get(tokenId);
    if (token) tokens.push(token);
  }
  return tokens;
}

async function revokeAll(tx: Tx, tokens: readonly ApiToken[], now: number): Promise<number> {
  const working = tokens.filter(({ revoked_at }) => revoked_at === null);
  const revoked_at = new Date(now).toISOString();
  for (const token of working) await tx.api_tokens.put({ ...token, revoked_at });
  return working.length;
}
