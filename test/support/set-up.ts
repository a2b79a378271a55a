/** What comes before the tests of every file. */
import fc from 'fast-check';
import { keepFileEnd } from './file-end.ts';

// Properties are tried on the same random values in every run: a change that lands must not fail by luck.
// FAST_CHECK_SEED=$RANDOM looks at others.
fc.configureGlobal({ seed: Number(process.env['FAST_CHECK_SEED'] ?? 20_261_123) });

keepFileEnd();
