/** Secrets that tests look for where they must not be. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Path and content of every file below a folder. One that goes while the others are read is passed over. */
export function* contentsBelow(folder: string): Generator<readonly [string, Buffer]> {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    try {
      yield [file, readFileSync(file)];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

/** The part of a token of a person that nobody else may have. */
export function secretOf(token: string): string {
  return token.split('_').slice(2).join('_');
}

/** Private keys are kept as JWKs: `d` is what nobody else may have. */
export function privatePart(folder: string): string {
  const texts = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  return texts.map((text) => /"d": ?"([^"]+)"/.exec(text)?.[1]).find((part) => part !== undefined) ?? '';
}

/** Names of the secrets (name → secret) that a text holds, as they are or as base64. */
export function secretsIn(text: string | Buffer, secrets: Readonly<Record<string, string>>): string[] {
  const content = Buffer.from(text);
  return Object.entries(secrets)
    .filter(([, secret]) => content.includes(secret) || content.includes(Buffer.from(secret).toString('base64')))
    .map(([name]) => name);
}
