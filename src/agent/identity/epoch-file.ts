/**
 * The last epoch of the session that this node confirmed. It lies beside the keys and not in the journal: whoever copies
 * the keys copies an epoch that is soon an old one, and that is how a clone is told from the node.
 *
 * It is overwritten in place, one short record in one block, so that it can be written on a full disk as well.
 */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../contract/failures.ts';
import { createPrivateFile, identityFolder, readPrivateFile } from './private-file.ts';

export interface EpochFile {
  /** 0 before the first session. `identity.unusable` if the file is damaged. */
  read(): number;
  /** On the disk when it returns. */
  write(epoch: number): void;
}

const digits = String(Number.MAX_SAFE_INTEGER).length;
const record = new RegExp(`^\\d{${digits}}\n$`);

export function epochFile(stateDir: string): EpochFile {
  const file = join(identityFolder(stateDir), 'epoch');
  return {
    read: () => {
      const text = readPrivateFile(file);
      if (text !== undefined && !record.test(text)) {
        throw new AgentError('identity.unusable', { path: file, reason: 'The epoch is damaged.' });
      }
      return Number(text ?? 0);
    },
    write: (epoch) => {
      const text = `${String(epoch).padStart(digits, '0')}\n`;
      if (readPrivateFile(file) === undefined) {
        createPrivateFile(file, text);
      }
      const handle = openSync(file, 'r+');
      try {
        writeSync(handle, text, 0);
        fsyncSync(handle);
      } finally {
        closeSync(handle);
      }
    },
  };
}
