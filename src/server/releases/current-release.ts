/** Which release a channel has: what its last rollout has brought to it, or the newest that was published for it. */
import type { StoredRelease } from '../db/entities/release.ts';
import type { Rollout } from '../db/entities/rollout.ts';
import type { ReadTx } from '../db/store.ts';

export const usualChannel = 'stable';

/**
 * What a new host of the channel begins with. Only what is published, has not expired and is whole (`missing`) counts: a release
 * that was withdrawn leaves the one before it.
 */
export async function currentRelease(
  tx: ReadTx,
  channel: string,
  { now, isWhole }: { readonly now: number; readonly isWhole: (release: StoredRelease) => boolean },
): Promise<StoredRelease | undefined> {
  const releases = (await tx.releases.list()).filter(
    (release) => release.state === 'published' && Date.parse(release.expires) > now && isWhole(release),
  );
  for (const { version } of (await rolloutsOf(tx, channel)).filter(isThrough)) {
    const release = releases.find((each) => each.version === version);
    if (release) return release;
  }
  return releases.filter((each) => each.channel === channel).sort((a, b) => b.seq - a.seq)[0];
}

/** The version that the nodes of a channel are to run, as far as a rollout says so. */
export async function wantedVersions(tx: ReadTx): Promise<ReadonlyMap<string, StoredRelease>> {
  const releases = new Map((await tx.releases.list()).map((release) => [release.version, release]));
  const wanted = new Map<string, StoredRelease>();
  for (const { channel, version } of await tx.rollouts.list({ where: { state: ['running', 'paused', 'completed'] } })) {
    const release = releases.get(version);
    // Oldest first: the last one counts.
    if (release?.state === 'published') wanted.set(channel, release);
  }
  return wanted;
}

/** The last rollout of each release to each channel, of what may still be given to a new host: who forgets it changes what that is. */
export async function standingRollouts(tx: ReadTx): Promise<ReadonlySet<string>> {
  const releases = await tx.releases.list();
  const published = new Set(releases.filter(({ state }) => state === 'published').map(({ version }) => version));
  const standing = new Map<string, string>();
  // Oldest first: the last one counts.
  for (const { id, channel, version } of await tx.rollouts.list({ where: { state: 'completed' } })) {
    if (published.has(version)) standing.set(`${channel} ${version}`, id);
  }
  return new Set(standing.values());
}

async function rolloutsOf(tx: ReadTx, channel: string): Promise<Rollout[]> {
  return await tx.rollouts.list({
    where: { channel, state: ['running', 'paused', 'completed'] },
    order: 'newest',
  });
}

/** Whoever could be reached has it. */
function isThrough({ state, stage }: Rollout): boolean {
  return state === 'completed' || stage === 'stragglers';
}
