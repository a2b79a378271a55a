/** Between tasks nobody has the secrets of a workload open, and its words are told all the same: its end, its last lines. */
import type { ContainerEngine } from '../../runtime/engine.ts';
import { openSecretEnv, openSecretFiles } from '../../tasks/secret-files.ts';
import { discreetEngine } from '../discreet-engine.ts';
import { HiddenTexts } from '../hidden-texts.ts';
import type { Journal } from '../journal/journal.ts';
import { type Sealed, secretsOf } from './parts.ts';

export interface SecretsMeans {
  readonly journal: Pick<Journal, 'workload'>;
  readonly engine: ContainerEngine;
  readonly unseal: (jwe: string) => Promise<Buffer>;
}

/** An engine whose words hold no secret of the workload, and what takes them out of other words. */
export interface Discretion {
  readonly engine: ContainerEngine;
  readonly clean: <Value>(value: Value) => Value;
}

/**
 * Of all services of a stack, as any of them may be told the secret of another. Where the secrets are not known any more,
 * its log is silent: nothing could be taken out of it.
 */
export async function discreetly(workloadId: string, { journal, engine, unseal }: SecretsMeans): Promise<Discretion> {
  const hidden = new HiddenTexts();
  const row = journal.workload(workloadId);
  const sealed = row && secretsOf(row);
  const opened = sealed && (await openAll(sealed, unseal));
  for (const secret of opened ?? []) {
    hidden.hide(secret);
  }
  const known = opened ? engine : { ...engine, logs: nothing };
  return { engine: discreetEngine(known, hidden), clean: (value) => hidden.clean(value) };
}

/** All secrets of all workloads that can be opened here and now. */
export async function secretsOfAll(
  journal: Pick<Journal, 'workloads'>,
  unseal: SecretsMeans['unseal'],
): Promise<(string | Buffer)[]> {
  const sealed = journal.workloads().flatMap((row) => secretsOf(row) ?? []);
  const opened = await Promise.all(sealed.map((each) => openAll([each], unseal)));
  return opened.flatMap((each) => each ?? []);
}

/** Undefined where one of them cannot be opened. */
async function openAll(
  sealed: readonly Sealed[],
  unseal: SecretsMeans['unseal'],
): Promise<(string | Buffer)[] | undefined> {
  const opening = sealed.flatMap((each) => [openSecretEnv(each, { unseal }), openSecretFiles(each, { unseal })]);
  const opened = await Promise.allSettled<Record<string, string | Buffer>>(opening);
  return opened.every((each) => each.status === 'fulfilled')
    ? opened.flatMap(({ value }) => Object.values(value))
    : undefined;
}

async function* nothing(): AsyncGenerator<never> {
  yield* [];
}
