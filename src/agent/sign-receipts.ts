/** Signs receipts of jobs with the identity key of the node, each the next link of its chain in the journal. */
import type { ReceiptFacts } from '../contract/job-receipt.ts';
import type { JobReceipts } from '../jobs/outputs/job-outputs.ts';
import { receiptHash, signReceipt } from '../policy/job-receipts.ts';
import type { IdentityKey } from './identity/identity-key.ts';
import type { Journal } from './journal/journal.ts';

interface SigningParts {
  readonly nodeId: string;
  /** Read anew for each: it is replaced now and then. */
  readonly key: () => IdentityKey;
  readonly journal: Pick<Journal, 'addReceipt'>;
}

export function openReceipts({ nodeId, key, journal }: SigningParts): JobReceipts {
  return {
    sign: (facts: ReceiptFacts) =>
      journal.addReceipt(facts.task_id, ({ chain, number }, before) => {
        const previous = before === null ? null : receiptHash(before);
        return signReceipt({ version: 1, node_id: nodeId, chain, number, previous, ...facts }, key());
      }),
  };
}
