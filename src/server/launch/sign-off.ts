/**
 * The sign-off that launches were switched on with (G-199). The option says it and the store remembers it, so that also
 * who looks at the events next month learns who found the hosts ready.
 */
import type { ServerSettings } from '../context.ts';
import type { SignOff } from '../db/entities/sign-off.ts';
import { newId } from '../db/new-id.ts';
import type { ReadTx, Store } from '../db/store.ts';

type Signed = Pick<ServerSettings, 'environment' | 'launchEnabled' | 'launchSignOff'>;

/** Once for each text: a control plane that is started again with the same one has not been signed off anew. */
export async function recordSignOff(store: Store, signed: Signed, version: string, now: number): Promise<void> {
  const { environment, launchEnabled, launchSignOff: text } = signed;
  if (!launchEnabled || text === undefined) return;
  await store.write(async (tx) => {
    if ((await latestSignOff(tx, environment))?.text === text) return;
    const created_at = new Date(now).toISOString();
    await tx.sign_offs.insert({ id: newId(now), environment, text, version, created_at });
    await tx.events.append({
      ...{ time: created_at, type: 'environment.signed_off', project_id: null, actor: 'system', correlation_id: null },
      ...{ subject: { kind: 'environment', id: environment }, data: { version } },
      message: `Launches in ${environment} were switched on, signed off by: ${text}.`,
    });
  });
}

export async function latestSignOff(tx: ReadTx, environment: string): Promise<SignOff | undefined> {
  const [latest] = await tx.sign_offs.list({ where: { environment }, order: 'newest', limit: 1 });
  return latest;
}
