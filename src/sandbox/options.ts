/** Options of the sandbox; where there are none, none of its code is loaded. */
export interface SandboxOptions {
  readonly vault: {
    /** 0: any that is free. */
    readonly port: number;
  };
  /** Lifetime of the API keys that its engines hand out. */
  readonly keyLifetimeMs: number;
}
