/**
 * What a launch form chooses by itself from what the server offers, the same in browser and terminal.
 *
 * A value that nobody has touched is the form's to choose: it follows what the allocation has left, and which port is free.
 * A value that somebody typed or picked stays as it is; if it cannot be had, the form says so and why. Only an image that
 * does not fit any more is replaced, as there is nothing to be kept of it.
 */
import { answerTo, type FormOffers, type LaunchAnswers, withAnswer } from './form-answers.ts';
import type { FormField, FormStep } from './form-model.ts';
import { isResource } from './resolve-values.ts';

type OneOf = 'target_allocation_id' | 'access_credential_id' | 'service_account_id';

/** `own` are the pointers of fields that a person has answered. */
export function fitAnswers(
  steps: readonly FormStep[],
  answers: LaunchAnswers,
  own: readonly string[],
  offers: FormOffers,
): LaunchAnswers {
  const components = steps.flatMap((step) => step.components);
  const kinds = new Set(components.map(({ kind }) => kind));
  const eligible = offers.allocations?.filter((each) => each.eligible);
  let fitting = onlyOne(answers, 'target_allocation_id', eligible);
  if (kinds.has('platform.access_credential')) {
    fitting = onlyOne(fitting, 'access_credential_id', offers.access_credentials);
  }
  if (kinds.has('platform.operator_service_account')) {
    fitting = onlyOne(fitting, 'service_account_id', offers.service_accounts);
  }
  for (const component of components) {
    if (component.kind === 'field' && !own.includes(component.field.pointer)) {
      fitting = fitField(fitting, component.field, offers);
    }
  }
  return fitImage(fitting, offers);
}

/** Where there is one thing to choose, it is chosen. */
function onlyOne(answers: LaunchAnswers, name: OneOf, things: readonly { readonly id: string }[] = []): LaunchAnswers {
  const [only, ...others] = things;
  return answers[name] !== undefined || !only || others.length > 0 ? answers : { ...answers, [name]: only.id };
}

/** What is left of an amount, a port that is free. */
function fitField(answers: LaunchAnswers, field: FormField, offers: FormOffers): LaunchAnswers {
  const { name, pointer } = field;
  const wanted = isResource(name) ? fitAmount(field, answers, offers) : offers.host_ports?.suggested[pointer];
  return wanted === undefined || wanted === answerTo(answers, name) ? answers : withAnswer(answers, name, wanted);
}

function fitAmount(field: FormField, answers: LaunchAnswers, { allocations }: FormOffers): number | undefined {
  const free = allocations?.find(({ id }) => id === answers.target_allocation_id)?.free;
  if (!free || typeof field.default !== 'number' || !isResource(field.name)) return undefined;
  const left = field.control === 'integer' ? Math.floor(free[field.name]) : free[field.name];
  const isEnough = left >= (field.minimum ?? 0) && !field.options;
  return field.default > left && isEnough ? left : field.default;
}

/** One that fits what was chosen; none where none does. */
function fitImage(answers: LaunchAnswers, { artifacts }: FormOffers): LaunchAnswers {
  const { artifact_id: before, ...rest } = answers;
  const isOpen = !artifacts || answers.target_allocation_id === undefined;
  if (isOpen || artifacts.some(({ id }) => id === before)) return answers;
  const chosen = artifacts.find(({ preferred }) => preferred) ?? artifacts[0];
  return chosen ? { ...rest, artifact_id: chosen.id } : rest;
}
