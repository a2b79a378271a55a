/** What a step asks for, in the order of the manifest. */
import type { PathError } from '../../../contract/validate.ts';
import { answerTo } from '../../../manifests/gpuaas/form-answers.ts';
import { concerns, type FormComponent, type FormModel, type FormStep } from '../../../manifests/gpuaas/form-model.ts';
import { TextInput } from '../../parts/field.tsx';
import { ParameterField, SecretField } from './field-parts.tsx';
import type { Offers } from './offers.ts';
import { AllocationPicker, ArtifactPicker, NamedPicker } from './platform-parts.tsx';
import type { Pick, WizardAction, WizardState } from './wizard-state.ts';
import { labelOf, sentence } from './words.ts';

export interface StepPartsProps {
  readonly model: FormModel;
  readonly step: FormStep;
  readonly state: WizardState;
  readonly offers: Offers;
  /** Everything that is wrong on this step. */
  readonly errors: readonly PathError[];
  /** Also what nobody has touched yet says what is wrong with it. */
  readonly showAll: boolean;
  readonly act: (action: WizardAction) => void;
}

export function StepParts(props: StepPartsProps) {
  const { step, state, act } = props;
  const asksForName = step.components.some(({ kind }) => kind === 'platform.target_allocation');
  return (
    <>
      {asksForName && (
        <div data-part="name">
          <TextInput
            label="Name"
            hint="What you will know it by."
            name="display_name"
            value={state.answers.display_name ?? ''}
            error={errorOf(props, '/display_name', ({ path }) => path === '/display_name')}
            onValue={(text) => act({ type: 'named', text })}
          />
        </div>
      )}
      <div class="step-parts">
        {step.components.map((component, index) => (
          <div key={keyOf(component)} data-part={String(index)} class={`part part-${sizeOf(component)}`}>
            <Part {...props} component={component} />
          </div>
        ))}
      </div>
    </>
  );
}

function keyOf(component: FormComponent): string {
  if (component.kind === 'field') return component.field.pointer;
  return component.kind === 'secret' ? component.secret.pointer : component.kind;
}

/** Numbers and short lists stand side by side where there is room. */
function sizeOf(component: FormComponent): 'small' | 'wide' {
  if (component.kind !== 'field') return 'wide';
  const { control, options } = component.field;
  const isSmall = control === 'integer' || control === 'number' || control === 'switch' || control === 'text';
  return isSmall || (options?.length ?? 0) > 4 ? 'small' : 'wide';
}

function errorOf(
  { model, state, errors, showAll }: StepPartsProps,
  own: string,
  belongs: (error: PathError) => boolean,
): string | undefined {
  if (!showAll && !state.own.includes(own)) return undefined;
  const found = errors.filter(belongs).map((error) => sentence(model, error));
  return found.length > 0 ? found.join('\n') : undefined;
}

function Part(props: StepPartsProps & { readonly component: FormComponent }) {
  const { component, state, offers, act } = props;
  const { required } = component;
  const { answers } = state;
  const belongs = ({ path }: PathError) => path !== '/display_name' && concerns(component, path);
  const pick = (name: Pick) => ({
    label: labelOf(component),
    required,
    value: answers[name],
    error: errorOf(props, name, belongs),
    onPick: (id: string | undefined) => act({ type: 'picked', pick: name, id }),
  });
  switch (component.kind) {
    case 'field': {
      const { field } = component;
      return (
        <ParameterField
          {...{ field, required, offers }}
          value={answerTo(answers, field.name)}
          text={state.texts[field.name]}
          error={errorOf(props, field.pointer, belongs)}
          onText={(text) => act({ type: 'typed', field, required, text })}
        />
      );
    }
    case 'secret': {
      const { secret } = component;
      return (
        <SecretField
          {...{ secret, required }}
          answer={answers.secrets?.[secret.name]}
          stored={(offers.access_credentials ?? []).filter(({ kind }) => kind === 'token')}
          error={errorOf(props, secret.pointer, belongs)}
          onSecret={(answer) => act({ type: 'secret', name: secret.name, secret: answer })}
        />
      );
    }
    case 'platform.target_allocation':
      return <AllocationPicker {...pick('target_allocation_id')} things={offers.allocations} />;
    case 'platform.artifact_selector':
      return <ArtifactPicker {...pick('artifact_id')} things={offers.artifacts} reason={offers.artifact_reason} />;
    case 'platform.access_credential':
      return (
        <NamedPicker {...pick('access_credential_id')} things={offers.access_credentials} what="access credential" />
      );
    case 'platform.operator_service_account':
      return <NamedPicker {...pick('service_account_id')} things={offers.service_accounts} what="service account" />;
    case 'platform.review':
      return null;
  }
}
