/**
 * Exits 0 when node_modules holds exactly what package-lock.json says, 1 when not.
 *
 * npm leaves its own record of what it installed; somebody who ran `npm install` by hand need not wait for another one.
 * Runs on whatever Node the machine has: the pinned one may not be there yet.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = process.argv[2] ?? '.';
const packagesOf = (path) => JSON.parse(readFileSync(join(root, path), 'utf8')).packages;

try {
  const wanted = packagesOf('package-lock.json');
  const present = packagesOf('node_modules/.package-lock.json');
  const differs = (name) =>
    present[name]?.version !== wanted[name]?.version || present[name]?.integrity !== wanted[name]?.integrity;
  // Optional packages of other platforms are in the lockfile and rightly not on the machine.
  const missing = Object.keys(wanted).filter((name) => name !== '' && !present[name] && !wanted[name].optional);
  const wrong = [...missing, ...Object.keys(present).filter(differs)];
  if (wrong.length > 0) throw new Error(`node_modules differs from package-lock.json in ${wrong.join(', ')}`);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
