/**
 * Work that must not run twice at once under the same key, shared by all who ask for it.
 *
 * Each brings a signal of its own, which only takes that one out of the group. When the last one has gone the work is
 * aborted, and whoever asks after that starts anew.
 */
export class SharedWork<Member, Result> {
  readonly #running = new Map<string, Group<Member, Result>>();

  /** Rejects with the signal's reason as soon as it is aborted. `work` sees who is still waiting, first come first. */
  async run(
    key: string,
    member: Member,
    signal: AbortSignal,
    work: (members: ReadonlySet<Member>, signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    signal.throwIfAborted();
    const group = this.#running.get(key) ?? this.#begin(key, work);
    group.members.add(member);
    const { promise: gone, reject } = Promise.withResolvers<never>();
    const leave = () => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([group.result, gone]);
    } finally {
      signal.removeEventListener('abort', leave);
      group.members.delete(member);
      if (group.members.size === 0) {
        this.#end(key, group);
      }
    }
  }

  #begin(
    key: string,
    work: (members: ReadonlySet<Member>, signal: AbortSignal) => Promise<Result>,
  ): Group<Member, Result> {
    const abort = new AbortController();
    const members = new Set<Member>();
    const result = Promise.resolve().then(() => work(members, abort.signal));
    const group: Group<Member, Result> = { members, abort, result };
    this.#running.set(key, group);
    const forget = () => this.#end(key, group);
    // Also tells the runtime that a failure which nobody waits for any more is expected.
    result.then(forget, forget);
    return group;
  }

  #end(key: string, group: Group<Member, Result>): void {
    group.abort.abort();
    if (this.#running.get(key) === group) {
      this.#running.delete(key);
    }
  }
}

interface Group<Member, Result> {
  readonly members: Set<Member>;
  readonly abort: AbortController;
  readonly result: Promise<Result>;
}
