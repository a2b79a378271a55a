/** Amounts and times in words for people. */

export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `just now`, `4 min ago`, `3 h ago`, `2 days ago`; the future reads `in 4 min`. */
export function timeSince(at: number, now: number): string {
  const seconds = Math.round((now - at) / 1000);
  const words = span(Math.abs(seconds));
  if (words === undefined) return 'just now';
  return seconds < 0 ? `in ${words}` : `${words} ago`;
}

function span(seconds: number): string | undefined {
  if (seconds < 10) return undefined;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}

/** `1 card`, `2 cards`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** First characters of a digest, enough to tell two apart: `sha256:0f3a…`. The whole of it is for copying. */
export function shortDigest(digest: string): string {
  return digest.replace(/^(sha256:)?([0-9a-f]{12}).*$/, 'sha256:$2…');
}

/** `compose_launch` and `not_ready` as words: `compose launch`. */
export function words(name: string): string {
  return name.replaceAll('_', ' ');
}

/** For a drawing: the characters that fit in so many pixels, by their usual width. */
export function cut(text: string, width: number, perCharacter: number): string {
  const most = Math.max(4, Math.floor(width / perCharacter));
  const characters = [...text];
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join('')}…`;
}
