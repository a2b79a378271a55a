/** The command `node-agent`: what an operator types on a host. */
import { leaveNoMemoryBehind } from './crash.ts';
import { main } from './main.ts';
import { outliveReaders } from './output.ts';

leaveNoMemoryBehind();
outliveReaders();

process.exitCode = await main(process.argv.slice(2));
