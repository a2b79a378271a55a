/** Disk for what is fetched: judged before, with what others are fetching at the same time. */
import { AgentError } from '../../contract/failures.ts';
import { readDisk } from '../../host/resources.ts';

export interface RoomOptions {
  readonly folder: string;
  /** What has to stay free. */
  readonly reserveBytes: number;
  /** Tries to free so many bytes. */
  readonly makeRoom: (bytes: number) => Promise<void>;
  readonly readFree?: ((folder: string) => Promise<number>) | undefined;
}

export class Room {
  readonly #options: RoomOptions;
  #promised = 0;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /** Throws `disk.full`; else what is fetched has its room until it is given back. `took` says what is on the disk now. */
  async take(bytes: number): Promise<{ took(bytes: number): void; giveBack(): void }> {
    const before = await this.#missing(bytes);
    if (before > 0) await this.#options.makeRoom(before);
    const missing = before > 0 ? await this.#missing(bytes) : 0;
    if (missing > 0) {
      const { folder } = this.#options;
      const reason = `It needs ${bytes} bytes, and ${missing} of them are not free beside what this host keeps free.`;
      throw new AgentError('disk.full', { reason, folder, needed_bytes: bytes });
    }
    let left = bytes;
    this.#promised += left;
    const use = (used: number) => {
      const taken = Math.min(left, used);
      left -= taken;
      this.#promised -= taken;
    };
    return { took: use, giveBack: () => use(left) };
  }

  async #missing(bytes: number): Promise<number> {
    const { folder, reserveBytes, readFree = async (path: string) => (await readDisk(path)).freeBytes } = this.#options;
    return bytes + this.#promised + reserveBytes - (await readFree(folder));
  }
}
