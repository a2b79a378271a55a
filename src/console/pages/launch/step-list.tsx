/** The steps of a wizard, with what was answered on each; any step is one press away once what is before it is in order. */
import type { FormModel } from '../../../manifests/gpuaas/form-model.ts';
import { Icon } from '../../parts/icon.tsx';
import type { Offers } from './offers.ts';
import type { WizardState } from './wizard-state.ts';
import { summaryOf } from './words.ts';

export interface StepListProps {
  readonly model: FormModel;
  readonly state: WizardState;
  readonly offers: Offers;
  /** The first step that cannot be left yet. */
  readonly barrier: number | undefined;
  readonly onStep: (step: number) => void;
}

export function StepList({ model, state, offers, barrier = model.steps.length, onStep }: StepListProps) {
  return (
    <nav aria-label="Steps of the launch" class="steps">
      <ol>
        {model.steps.map((step, index) => {
          const isCurrent = index === state.step;
          const isDone = index < barrier && index < model.steps.length - 1;
          const isOpen = index <= Math.max(barrier, state.step);
          const why = `First: ${model.steps[barrier]?.title}`;
          return (
            <li key={step.id}>
              <button
                type="button"
                class={`step ${isDone ? 'is-done' : ''}`}
                aria-current={isCurrent ? 'step' : undefined}
                aria-disabled={isOpen ? undefined : 'true'}
                title={isOpen ? undefined : why}
                onClick={() => isOpen && onStep(index)}
              >
                <span class="step-mark" aria-hidden="true">
                  {isDone && !isCurrent ? <Icon name="check" /> : index + 1}
                </span>
                <span class="step-text">
                  <span class="step-title">{step.title}</span>
                  <span class="step-answer truncate">{summaryOf(step, state.answers, offers)}</span>
                </span>
                {!isOpen && <span class="visually-hidden">{why}</span>}
              </button>
            </li>
          );
        })}
      </ol>
    </nav>
  );
}
