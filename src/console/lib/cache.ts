/** Last answers by path, so that a page that was seen before is there at once while it is asked for anew. */
const most = 40;
const answers = new Map<string, unknown>();

export function cached(path: string | null): unknown {
  return path === null ? undefined : answers.get(path);
}

export function keepAnswer(path: string, data: unknown): void {
  answers.delete(path);
  answers.set(path, data);
  const [eldest] = answers.keys();
  if (answers.size > most && eldest !== undefined) answers.delete(eldest);
}

/** Nothing that one person saw is shown to the next. */
export function emptyCache(): void {
  answers.clear();
}
