/** Ends the private engine of a folder and removes that: what is left of a process that had one and is gone. */
import { rm } from 'node:fs/promises';
import { endPrivateEngine } from './private-engine.ts';

const [dir] = process.argv.slice(2);
if (dir === undefined) throw new Error('Of which folder?');
await endPrivateEngine(dir);
await rm(dir, { recursive: true, force: true });
