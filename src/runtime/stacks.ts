/**
 * What brings stacks up and down, as the tasks see it. Nothing in here names a vendor; `compose/` implements it.
 *
 * Every call may be repeated. Aborting one ends what it had begun at once, and leaves what is there to be looked at.
 * `compose.unavailable` where there is no Compose, `engine.unavailable` while the engine is away; what the gate refuses
 * carries the gate's code, anything else is `compose.failed`.
 */
export interface StackRunner {
  /** Version of Compose; `compose.unavailable` if it cannot be used. */
  version(signal: AbortSignal): Promise<string>;
  /** Makes and starts what is missing, in the order of the dependencies. Touches nothing that is there already. */
  up(stack: Stack, options: StackOptions): Promise<void>;
  stop(instance: string, graceSeconds: number, options: StackOptions): Promise<void>;
  /** Starts the containers that are there, in the order of the dependencies. */
  start(instance: string, options: StackOptions): Promise<void>;
  /** Takes away what is kept of the stack beside its containers. False if there was nothing. */
  forget(instance: string): Promise<boolean>;
}

export interface Stack {
  readonly instance: string;
  readonly document: Readonly<Record<string, unknown>>;
  /** Environment that the document refers to: the secrets, which are in it nowhere. */
  readonly env: Readonly<Record<string, string>>;
}

export interface StackOptions {
  readonly signal: AbortSignal;
  /** Each step of each container, as it happens: Created, Started, Healthy, Stopped, … */
  readonly onStep?: ((container: string, step: string) => void) | undefined;
  /** Everything else that is said, line by line. */
  readonly onLine?: ((line: string) => void) | undefined;
}
