/** What the operating system of this host calls itself, for people: `Debian GNU/Linux 12 (bookworm)`. */
import { readFile } from 'node:fs/promises';

export async function osName(file = '/etc/os-release'): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return /^PRETTY_NAME="?([^"\n]*)/m.exec(text)?.[1] ?? 'Linux';
}
