import type { SharedServices } from '../../src/agent/kept-for-later.ts';

/** A host whose jobs share none. */
export const noServices: SharedServices = { idleSince: () => undefined, giveWay: async () => 'gone' };
