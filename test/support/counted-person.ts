/** Somebody at the page whose every act is counted: what a journey asks of people. */
import type { Locator } from 'playwright-core';

export interface CountedPerson {
  /** Clicks, choices and texts so far. */
  readonly acts: number;
  /** Texts that were typed so far. */
  readonly typed: readonly string[];
  click(target: Locator): Promise<void>;
  choose(target: Locator, value: string): Promise<void>;
  type(target: Locator, text: string): Promise<void>;
}

export function countedPerson(): CountedPerson {
  let acts = 0;
  const typed: string[] = [];
  const act = async (doing: Promise<unknown>) => {
    acts += 1;
    await doing;
  };
  return {
    get acts() {
      return acts;
    },
    typed,
    click: (target) => act(target.click()),
    choose: (target, value) => act(target.selectOption(value)),
    type: (target, text) => {
      typed.push(text);
      return act(target.fill(text));
    },
  };
}
