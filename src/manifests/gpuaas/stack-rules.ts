/**
 * What each renderer asks of a profile, beyond what its schema says: what is accepted here is rendered without a further
 * question. What it asks of values is in `resolve-values.ts`, which forms judge by as well.
 */
import type { PathError } from '../../contract/validate.ts';
import type { WorkloadProfile } from './profile.ts';
import type { RendererName } from './profile-execution.ts';
import { vllmOpenai } from './vllm-rules.ts';

export interface StackRules {
  /** How many services it makes; the topology has as many, in the order of the renderer. */
  readonly services: number;
  readonly leastCards: number;
  checkProfile(profile: WorkloadProfile): readonly PathError[];
}

export const stackRules: { readonly [R in RendererName]: StackRules } = {
  vllm_openai: vllmOpenai,
  smoke_stack: { services: 2, leastCards: 0, checkProfile: () => [] },
};

/** The rules of the stack that a launch of the profile makes; undefined where it makes none. */
export function rulesOf({ execution }: WorkloadProfile): StackRules | undefined {
  const { default_engine: engine, compose } = execution;
  return engine === 'docker_compose' && compose ? stackRules[compose.renderer] : undefined;
}
