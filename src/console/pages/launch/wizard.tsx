/**
 * The wizard of a launch. The platform owns this shell: the list of steps, the gates between them, and the way on and back.
 * What the steps are called, what they say and what they ask is the manifest's.
 */
import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useReducer, useRef } from 'preact/hooks';
import type { PathError } from '../../../contract/validate.ts';
import { judgeStep, launchRequest } from '../../../manifests/gpuaas/form-answers.ts';
import { concerns, type FormModel, formModel } from '../../../manifests/gpuaas/form-model.ts';
import type { WorkloadProfile } from '../../../manifests/gpuaas/profile.ts';
import { navigate } from '../../lib/router.tsx';
import { theSession, whyNotMember } from '../../lib/session.ts';
import { Button } from '../../parts/button.tsx';
import { FailureView } from '../../parts/failure-view.tsx';
import { Icon } from '../../parts/icon.tsx';
import { Loading } from '../../parts/loading.tsx';
import { announce } from '../../parts/status-region.tsx';
import { draftOf, fromDraft } from './draft.ts';
import type { Offers } from './offers.ts';
import { ProjectPicker } from './project-picker.tsx';
import { Findings, Review } from './review.tsx';
import { StepList } from './step-list.tsx';
import { StepParts } from './step-parts.tsx';
import { useCheck } from './use-check.ts';
import { useLaunch } from './use-launch.ts';
import { useOffers } from './use-offers.ts';
import type { SendingState } from './use-sending.ts';
import { barrierBefore, type WizardAction, type WizardState, wizardOf } from './wizard-state.ts';
import { sentence } from './words.ts';

export interface WizardProps {
  readonly profile: WorkloadProfile;
  readonly version: string;
}

export function Wizard({ profile, version }: WizardProps) {
  const { slug } = profile.profile;
  const session = theSession();
  const draftKey = `gpuaas.draft.${session.token_id}.${slug}.${version}`;
  const model = useMemo(() => formModel(profile), [profile]);
  const reduce = useMemo(() => wizardOf(profile), [profile]);
  const [state, act] = useReducer<WizardState, WizardAction, null>(reduce, null, () =>
    fromDraft(profile, sessionStorage.getItem(draftKey)),
  );
  const isOver = useRef(false);
  useEffect(() => {
    if (!isOver.current) sessionStorage.setItem(draftKey, draftOf(state));
  }, [state]);
  const told = (offered: Offers) => act({ type: 'offered', offers: offered });
  const { offers, base } = useOffers({ slug, version }, state.answers, session.project !== null, told);
  const launching = useLaunch((instanceId) => {
    isOver.current = true;
    sessionStorage.removeItem(draftKey);
    announce('The launch was accepted.');
    navigate(`/instances/${instanceId}`);
  });
  useEffect(() => {
    if (state.notice) announce(state.notice);
  }, [state.notice]);

  const barrier = barrierBefore(profile, model, model.steps.length, state.answers, offers);
  const picker = session.project === null && (
    <ProjectPicker value={state.answers.project_id} onPick={(id) => act({ type: 'picked', pick: 'project_id', id })} />
  );
  if (session.project === null && state.answers.project_id === undefined) return <div class="card">{picker}</div>;
  if (!base.data) {
    return base.error ? (
      <FailureView error={base.error} title="What can be chosen is not known.">
        <Button onClick={base.reload}>Try again</Button>
      </FailureView>
    ) : (
      <Loading />
    );
  }
  const body = launchRequest(profile, version, state.answers);
  return (
    <div class="wizard">
      <StepList {...{ model, state, offers, barrier }} onStep={(step) => act({ type: 'shown', step })} />
      <div class="card wizard-step">
        {state.step === 0 && picker}
        <Step {...{ profile, model, state, offers, act, body, launching }} />
      </div>
    </div>
  );
}

interface StepProps {
  readonly profile: WorkloadProfile;
  readonly model: FormModel;
  readonly state: WizardState;
  readonly offers: Offers;
  readonly act: (action: WizardAction) => void;
  readonly body: object;
  readonly launching: SendingState;
}

function Step(props: StepProps) {
  const { profile, model, state, offers, act } = props;
  const step = model.steps[state.step];
  const form = useRef<HTMLFormElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const shown = useRef(state.step);
  useEffect(() => {
    if (shown.current === state.step) return;
    shown.current = state.step;
    heading.current?.focus({ preventScroll: true });
    scrollTo({ top: 0 });
  }, [state.step]);
  if (!step) return null;

  const errors = judgeStep(profile, step, state.answers, offers);
  const isLast = state.step === model.steps.length - 1;
  const isReview = step.components.some(({ kind }) => kind === 'platform.review');
  const isTried = state.tried.includes(state.step);
  const next = () => {
    if (errors[0]) {
      act({ type: 'tried', step: state.step });
      focusOn(form.current, partOf(props, errors[0]));
    } else if (!isLast) {
      act({ type: 'shown', step: state.step + 1 });
    }
  };
  const back = () =>
    state.step === 0 ? navigate(`/apps/${profile.profile.slug}`) : act({ type: 'shown', step: state.step - 1 });
  return (
    <form
      ref={form}
      noValidate
      aria-label={step.title}
      onSubmit={(event) => {
        event.preventDefault();
        if (!isReview) next();
      }}
    >
      <header class="wizard-head">
        <p class="wizard-count">
          Step {state.step + 1} of {model.steps.length}
        </p>
        <h2 ref={heading} tabIndex={-1}>
          {step.title}
        </h2>
        {step.description && <p class="muted">{step.description}</p>}
        {state.step === 0 && model.note && <p class="muted">{model.note}</p>}
      </header>
      {isTried && errors.length > 0 && (
        <ErrorSummary model={model} errors={errors} onError={(error) => focusOn(form.current, partOf(props, error))} />
      )}
      {state.notice && (
        <p class="notice">
          <Icon name="circle" />
          {state.notice}
        </p>
      )}
      <StepParts {...{ model, step, state, offers, errors, act }} showAll={isTried} />
      {isReview ? (
        <ReviewEnd {...props} errors={errors} back={<Button onClick={back}>Back</Button>} />
      ) : (
        <footer class="wizard-foot">
          <Button onClick={back}>{state.step === 0 ? 'Cancel' : 'Back'}</Button>
          <span class="wizard-go">
            {errors[0] && (
              <span id="wizard-why" class="wizard-why">
                {sentence(model, errors[0])}
              </span>
            )}
            <button
              type="submit"
              class="button button-primary"
              aria-disabled={errors.length > 0 ? 'true' : undefined}
              aria-describedby={errors.length > 0 ? 'wizard-why' : undefined}
            >
              Next
            </button>
          </span>
        </footer>
      )}
    </form>
  );
}

/** The only place from which anything is launched. */
function ReviewEnd(props: StepProps & { readonly errors: readonly PathError[]; readonly back: ComponentChildren }) {
  const { profile, model, state, offers, act, body, launching, back } = props;
  const noMember = whyNotMember(theSession());
  const check = useCheck(noMember === undefined ? body : undefined);
  const barrier = barrierBefore(profile, model, model.steps.length, state.answers, offers);
  const onStep = (step: number) => act({ type: 'shown', step });
  const { preview } = check;
  const reason =
    noMember ??
    (barrier !== undefined ? `Something is missing in ${model.steps[barrier]?.title}.` : undefined) ??
    (preview ? undefined : 'It is being checked.') ??
    (preview?.accepted ? undefined : 'It would be refused; the reasons are above.');
  const { error, state: sending } = launching;
  return (
    <>
      <Review {...{ model, body, onStep }} check={noMember === undefined ? check : undefined} />
      {error && error.errors.length > 0 && (
        <Findings model={model} title={error.message} tone="bad" findings={error.errors} onStep={onStep} />
      )}
      {error && error.errors.length === 0 && <FailureView error={error} title="The launch was not accepted." />}
      <footer class="wizard-foot">
        {back}
        <span class="wizard-go">
          {sending === 'lost' ? (
            <span class="wizard-why" role="status">
              The answer was lost. It is asked for again, and launched once only.{' '}
              <Button tone="quiet" onClick={launching.giveUp}>
                Stop asking
              </Button>
            </span>
          ) : (
            reason && <span class="wizard-why">{reason}</span>
          )}
          <Button tone="primary" busy={sending !== 'idle'} disabledReason={reason} onClick={() => launching.send(body)}>
            Launch
          </Button>
        </span>
      </footer>
    </>
  );
}

interface ErrorSummaryProps {
  readonly model: FormModel;
  readonly errors: readonly PathError[];
  readonly onError: (error: PathError) => void;
}

function ErrorSummary({ model, errors, onError }: ErrorSummaryProps) {
  return (
    <section class="findings findings-bad" role="alert">
      <h3>
        <Icon name="error" />
        {errors.length === 1 ? 'One thing is in the way' : `${errors.length} things are in the way`}
      </h3>
      <ul>
        {errors.map((error) => (
          <li key={`${error.path}${error.message}`}>
            <button type="button" class="link" onClick={() => onError(error)}>
              {sentence(model, error)}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Mark of the part of the step that an error belongs to. */
function partOf({ model, state }: StepProps, { path }: PathError): string {
  if (path === '/display_name') return 'name';
  const index = model.steps[state.step]?.components.findIndex((component) => concerns(component, path)) ?? -1;
  return String(index);
}

function focusOn(form: HTMLFormElement | null, part: string): void {
  const controls = form?.querySelectorAll<HTMLElement>(
    `[data-part="${part}"] :is(input:not(:disabled), select, textarea, button)`,
  );
  const chosen = [...(controls ?? [])].find((each) => each instanceof HTMLInputElement && each.checked);
  (chosen ?? controls?.[0])?.focus();
}
