/** Holds the form wishes of a profile against its parameters: a form made from them must be able to launch the app. */
import type { PathError } from '../../contract/validate.ts';
import { each, sure } from '../sure-parts.ts';
import type { WorkloadProfile } from './profile.ts';
import type { ProfileUi } from './profile-ui.ts';

const at = '/parameters/ui';

export function checkUi({ parameters }: WorkloadProfile): readonly PathError[] {
  const { ui } = parameters;
  if (!ui) return [];
  return [
    ...each([orderPlaces, groupPlaces, wizardPlaces], (placesIn) => {
      const places = placesIn(ui);
      return [...each(places, (place) => checkDeclared(place, parameters)), ...twice(places)];
    }),
    ...sure(() => {
      const places = secretPlaces(ui);
      return [...each(places, (place) => checkSecret(place, parameters)), ...twice(places)];
    }),
    ...sure(() => twice((ui.groups ?? []).map(({ id }, index) => ({ name: id, path: `${at}/groups/${index}/id` })))),
    ...sure(() => checkWizard(ui, parameters)),
  ];
}

function checkDeclared({ name, path }: Place, { schema }: WorkloadProfile['parameters']): PathError[] {
  return Object.hasOwn(schema.properties, name)
    ? []
    : [{ path, code: 'undeclared', message: 'is not a declared parameter' }];
}

function checkSecret({ name, path }: Place, { secrets }: WorkloadProfile['parameters']): PathError[] {
  return secrets?.some((secret) => secret.name === name)
    ? []
    : [{ path, code: 'undeclared', message: 'is not a declared secret' }];
}

interface Place {
  readonly name: string;
  readonly path: string;
}

function orderPlaces({ order = [] }: ProfileUi): Place[] {
  return order.map((name, index) => ({ name, path: `${at}/order/${index}` }));
}

function groupPlaces({ groups = [] }: ProfileUi): Place[] {
  return groups.flatMap(({ fields }, group) =>
    fields.map((name, index) => ({ name, path: `${at}/groups/${group}/fields/${index}` })),
  );
}

const wizardPlaces = (ui: ProfileUi) => placesOf(ui, 'field');
const secretPlaces = (ui: ProfileUi) => placesOf(ui, 'secret');

function placesOf(ui: ProfileUi, wanted: 'field' | 'secret'): Place[] {
  return components(ui).flatMap(({ component: { kind, name }, path }) =>
    kind === wanted && name !== undefined ? [{ name, path: `${path}/name` }] : [],
  );
}

function components({ launch_wizard }: ProfileUi) {
  return (launch_wizard?.steps ?? []).flatMap((step, index) =>
    step.components.map((component, position) => ({
      component,
      step: index,
      path: `${at}/launch_wizard/steps/${index}/components/${position}`,
    })),
  );
}

function twice(places: readonly Place[]): PathError[] {
  const seen = new Set<string>();
  return places.flatMap(({ name, path }) => {
    const again = seen.has(name);
    seen.add(name);
    return again ? [{ path, code: 'repeated', message: `is the second place of ${name}` }] : [];
  });
}

/** Without these no launch request can be put together. */
const needed = ['platform.target_allocation', 'platform.artifact_selector', 'platform.review'] as const;

function checkWizard(ui: ProfileUi, parameters: WorkloadProfile['parameters']): readonly PathError[] {
  const steps = ui.launch_wizard?.steps;
  if (!steps) return [];
  const all = components(ui);
  const names = each(all, ({ component: { kind, name }, path }) => {
    const isNamed = kind === 'field' || kind === 'secret';
    if (isNamed && name === undefined) {
      return [{ path: `${path}/name`, code: 'required', message: `is missing: it says which ${kind} is shown` }];
    }
    return !isNamed && name !== undefined
      ? [{ path: `${path}/name`, code: 'unknown_key', message: `has no meaning for ${kind}` }]
      : [];
  });
  const missing = needed
    .filter((kind) => !all.some(({ component }) => component.kind === kind))
    .map((kind) => ({ path: `${at}/launch_wizard/steps`, code: 'missing_component', message: `must show ${kind}` }));
  const review = all.find(({ component }) => component.kind === 'platform.review');
  const late =
    review && review.step < steps.length - 1
      ? [{ path: review.path, code: 'not_last', message: 'must be in the last step: it shows what was chosen' }]
      : [];
  const unreachable = sure(() => {
    const { properties, required = [] } = parameters.schema;
    return required
      .filter((name) => properties[name]?.default === undefined && Object.hasOwn(properties, name))
      .filter((name) => !all.some(({ component }) => component.kind === 'field' && component.name === name))
      .map((name) => ({
        path: `${at}/launch_wizard/steps`,
        code: 'missing_component',
        message: `must show ${name}, which is required and has no default`,
      }));
  });
  const platform = all
    .filter(({ component: { kind } }) => kind !== 'field' && kind !== 'secret')
    .map(({ component: { kind }, path }) => ({ name: kind, path: `${path}/kind` }));
  return [
    ...twice(steps.map(({ id }, index) => ({ name: id, path: `${at}/launch_wizard/steps/${index}/id` }))),
    ...twice(platform),
    ...names,
    ...missing,
    ...late,
    ...unreachable,
  ];
}
