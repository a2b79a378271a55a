/**
 * Ends what a killed agent has left running: its Compose is a process of its own, and would go on making containers beside
 * the next one. It is known by the folder of the state, which is in its arguments and which only one agent has, and by its
 * user: anybody on the host, workloads included, may call a process so.
 */
import { open, readdir, stat } from 'node:fs/promises';
import { killGroup } from './run-compose.ts';

export async function endLeftovers(folder: string): Promise<void> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    if ((await argumentsOf(pid)).some((argument) => argument.startsWith(`${folder}/`))) {
      killGroup(Number(pid));
    }
  }
}

/** Of a run of Compose by this user; none for anything else, or what is gone. */
async function argumentsOf(pid: string): Promise<string[]> {
  try {
    if ((await stat(`/proc/${pid}`)).uid !== process.getuid?.()) {
      return [];
    }
    const argv = (await commandLine(pid)).split('\0');
    return argv.some((argument) => argument.endsWith('/docker-compose')) ? argv : [];
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) {
      return [];
    }
    throw error;
  }
}

/** Longer than any of ours. `readFile` would take 64 KiB for each process of the host, and the memory stays with this one. */
const line = Buffer.alloc(8192);

async function commandLine(pid: string): Promise<string> {
  const file = await open(`/proc/${pid}/cmdline`);
  try {
    const { bytesRead } = await file.read(line, 0, line.length, 0);
    return line.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
