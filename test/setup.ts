/** Duty: property tests draw the same cases every time, so that a red run can be repeated; FC_SEED=random draws others. */
import fc from 'fast-check';

const seed = process.env['FC_SEED'];
if (seed !== 'random') fc.configureGlobal({ seed: Number(seed ?? 20_260_101) });
