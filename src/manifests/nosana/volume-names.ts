/** Names of volumes within the plan: those of the author where they can be names, ours never in their way. */
export class VolumeNames {
  readonly #taken = new Map<string, string>();

  named(name: string): string {
    return this.#take(`author ${name}`, /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,47}$/.test(name) ? name : 'volume');
  }

  own(name: string): string {
    return this.#take(`ours ${name}`, name);
  }

  all(): string[] {
    return [...this.#taken.values()];
  }

  #take(key: string, wish: string): string {
    const known = this.#taken.get(key);
    if (known !== undefined) return known;
    const used = new Set(this.#taken.values());
    let name = wish;
    for (let next = 2; used.has(name); next += 1) name = `${wish}-${next}`;
    this.#taken.set(key, name);
    return name;
  }
}
