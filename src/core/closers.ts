/** Whoever builds pushes how to end it; ended in reverse order. */
export type Closers = (() => Promise<unknown>)[];
