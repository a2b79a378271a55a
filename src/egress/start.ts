/** Begins the program where it runs from its sources. */
import { runEgress } from './main.ts';

await runEgress();
process.exit(0);
