/** The command `node-agent`: what an operator types on a host. */
import { leaveNoMemoryBehind } from './crash.ts';
import { main } from './main.ts';

leaveNoMemoryBehind();

// Whoever read the output may stop (`| head`): what was begun is carried through and cleaned up all the same.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') {
      throw error;
    }
  });
}

process.exitCode = await main(process.argv.slice(2));
