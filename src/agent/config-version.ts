/**
 * Version of the form of `agent.json`. A key more keeps it; one that is gone, or means something else, is the next.
 *
 * 1  2026-11-26  the first with a number
 */
export const configVersion = 1;
