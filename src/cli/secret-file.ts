/** Secrets of a launch, out of files: on the command line every process of the machine could read them. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { AgentError } from '../contract/failures.ts';

/** The text of each file without the line break at its end; `-` is standard input. */
export async function readSecrets(files: Readonly<Record<string, string>>): Promise<Record<string, string>> {
  const secrets: Record<string, string> = {};
  for (const [name, file] of Object.entries(files)) {
    secrets[name] = (await readSecretFile(name, file)).trim();
  }
  return secrets;
}

/** The whole text, which is not empty. `name` is what it is called in a failure. */
export async function readSecretFile(name: string, file: string): Promise<string> {
  const secret = await read(name, file);
  if (secret.trim() === '') throw new AgentError('file.unusable', { reason: `The secret ${name} is empty.` });
  return secret;
}

async function read(name: string, file: string): Promise<string> {
  try {
    return file === '-' ? await text(process.stdin) : await readFile(file, 'utf8');
  } catch (cause) {
    throw new AgentError('file.unusable', { reason: `The secret ${name} cannot be read from ${file}.` }, { cause });
  }
}
