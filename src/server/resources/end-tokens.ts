/** Ends tokens together with all that they have made: whoever takes one back does not know what it was used for. */
import type { ApiToken } from '../db/entities/project.ts';
import type { ReadTx, Tx } from '../db/store.ts';

/** The tokens, what they have made, what that has made, and so on. */
export async function withMade(tx: ReadTx, tokens: readonly ApiToken[]): Promise<ApiToken[]> {
  const all = [...tokens];
  // Grows while it is gone through.
  for (const { id } of all) all.push(...(await madeBy(tx, id)));
  return all;
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

async function revokeAll(tx: Tx, tokens: readonly ApiToken[], now: number): Promise<number> {
  const working = tokens.filter(({ revoked_at }) => revoked_at === null);
  const revoked_at = new Date(now).toISOString();
  for (const token of working) await tx.api_tokens.put({ ...token, revoked_at });
  return working.length;
}
