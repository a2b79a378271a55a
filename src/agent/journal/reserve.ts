/**
 * Room on the disk that is kept for results: a file that is given up when there is no other room left.
 *
 * Without it a full disk would keep the agent from saying that the disk is full.
 */
import { closeSync, fsyncSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { isDiskFull } from './database.ts';

export class Reserve {
  readonly #file: string;
  readonly #bytes: number;
  #held: boolean;

  /** Takes the room if it can be had. */
  constructor(file: string, bytes: number) {
    this.#file = file;
    this.#bytes = bytes;
    this.#held = statSync(file, { throwIfNoEntry: false })?.size === bytes || this.#take();
  }

  /** False after it was given up, until there is room for it again. */
  get held(): boolean {
    return this.#held;
  }

  /** Frees the room for what has to be written now. False if there was none to free. */
  giveUp(): boolean {
    const had = this.#held;
    rmSync(this.#file, { force: true });
    this.#held = false;
    return had;
  }

  /** True if it is held. It is only taken where as much again stays free: otherwise it would be given up at once. */
  restore(): boolean {
    if (!this.#held) {
      const { bavail, bsize } = statfsSync(dirname(this.#file));
      this.#held = bavail * bsize >= this.#bytes * 2 && this.#take();
    }
    return this.#held;
  }

  #take(): boolean {
    try {
      const file = openSync(this.#file, 'w', 0o600);
      try {
        const block = Buffer.alloc(65_536);
        for (let written = 0; written < this.#bytes; ) {
          written += writeSync(file, block, 0, Math.min(block.length, this.#bytes - written));
        }
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      return true;
    } catch (error) {
      rmSync(this.#file, { force: true });
      if (isDiskFull(error)) {
        return false;
      }
      throw error;
    }
  }
}
