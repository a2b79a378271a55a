/** Which version this is: what a release was told to be, or that of the checkout. */
import agent from '../../package.json' with { type: 'json' };

/** Filled in by the build of a release; in a checkout there are no such names. */
declare const releaseVersion: string;
declare const releaseCommit: string;

export const agentVersion: string = typeof releaseVersion === 'undefined' ? agent.version : releaseVersion;
/** Revision that it was built from; null where it was not built by a release. */
export const agentCommit: string | null = typeof releaseCommit === 'undefined' ? null : releaseCommit;
