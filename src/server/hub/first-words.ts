/**
 * Bounds what is kept of somebody who has not proven who they are. A frame is kept whole until its end has come, and the
 * limit of a frame is made for nodes: a thousand strangers that begin one each and never end it would cost a gigabyte.
 */
import type { Duplex } from 'node:stream';
import { maxFirstWordsBytes } from '../../contract/signing.ts';

/** What a piece costs that has come by itself, however short it is. */
const pieceBytes = 256;

/** Closes the socket, after `onTooMuch`, once more has come than a hello takes. Returns what lifts that. */
export function boundFirstWords(socket: Duplex, onTooMuch: () => void): () => void {
  let left = maxFirstWordsBytes;
  const count = (chunk: Buffer) => {
    left -= Math.max(chunk.length, pieceBytes);
    if (left >= 0) return;
    lift();
    onTooMuch();
    socket.destroy();
  };
  const lift = () => socket.off('data', count);
  socket.on('data', count);
  return lift;
}
