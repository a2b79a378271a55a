/** A file that is written and read at once: whoever reads it waits for what is not there yet. */
export class GrowingFile {
  readonly path: string;
  /** Somebody reads it because it is kept for sure, or nearly so: then it is on the disk soon after it is written. */
  isWanted = false;
  #bytes = 0;
  #hasEnded = false;
  #grown = Promise.withResolvers<void>();

  constructor(path: string) {
    this.path = path;
  }

  /** So many more bytes can be read. */
  grow(bytes: number): void {
    this.#bytes += bytes;
    this.#tell();
  }

  /** Nothing more comes. */
  end(): void {
    this.#hasEnded = true;
    this.#tell();
  }

  /** Resolves when so many bytes can be read; false where there never will be. */
  async has(bytes: number): Promise<boolean> {
    while (this.#bytes < bytes && !this.#hasEnded) await this.#grown.promise;
    return this.#bytes >= bytes;
  }

  #tell(): void {
    this.#grown.resolve();
    this.#grown = Promise.withResolvers<void>();
  }
}
