/** The command `node-agent`: what an operator types on a host. */
import { main } from './main.ts';

process.exitCode = await main(process.argv.slice(2));
