/** Which version this is: what a release was told to be, or that of the checkout. */
import agent from '../../package.json' with { type: 'json' };

/** Filled in by the build of a release; in a checkout there is no such name. */
declare const releaseStamp: { readonly version: string; readonly commit: string };

const stamp = typeof releaseStamp === 'undefined' ? undefined : releaseStamp;

export const agentVersion: string = stamp?.version ?? agent.version;
/** Revision that it was built from; null where it was not built by a release. */
export const agentCommit: string | null = stamp?.commit ?? null;
