/**
 * Versions of what this agent keeps on its host. Raised with every change of the form; an agent opens what is one newer, so
 * that the version before can take over again.
 */
export const stateVersions = {
  /** Tables of the journal (`journal/schema.ts`). */
  journal: 1,
  /** Keys of `agent.json` (`config.ts`). */
  config: 1,
} as const;
