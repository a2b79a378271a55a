/**
 * Where an update leaves what, and who may write it.
 *
 *   staged    the agent's own, 0700: the files of a release, `request`, `alive` and `stable`. Root reads it and trusts nothing of it
 *   guarded   root's: `pending` while a version is on trial, `memory`, `skipped`, and in `last` what became of the last update
 *   installed root's: `versions/<v>/node-agent`, and the links `current` and `previous`
 */
import { join } from 'node:path';
import type { AgentConfig } from '../config.ts';

export interface UpdatePlaces {
  readonly staged: string;
  readonly guarded: string;
  readonly installed: string;
  /** PEM of the release root that this host was set up with. */
  readonly releaseRoot: string;
}

/** For the agent, by its configuration. */
export function placesOf({ state_dir, updates }: Pick<AgentConfig, 'state_dir' | 'updates'>): UpdatePlaces {
  const { guard_dir, install_dir, release_root } = updates;
  return { staged: join(state_dir, 'update'), guarded: guard_dir, installed: install_dir, releaseRoot: release_root };
}

/** As `systemd/guard` has them, below a folder in tests. */
export function rootPlaces(root: string): UpdatePlaces {
  return {
    staged: join(root, '/var/lib/gpuaas-node-agent/update'),
    guarded: join(root, '/var/lib/gpuaas-node-agent-update'),
    installed: join(root, '/opt/gpuaas-node-agent'),
    releaseRoot: join(root, '/etc/gpuaas-node-agent/release-root.pem'),
  };
}
