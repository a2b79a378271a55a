/** The last page of a wizard: what the launch would be, what stands against it, and what to know. Nothing to fill in. */

import { stepOf } from '../../../manifests/gpuaas/form-answers.ts';
import type { FormModel } from '../../../manifests/gpuaas/form-model.ts';
import type { VersionCard } from '../../../server/catalog/views.ts';
import type { Preview } from '../../../server/instances/preview-launch.ts';
import { words } from '../../lib/format.ts';
import { Badge } from '../../parts/badge.tsx';
import { Button } from '../../parts/button.tsx';
import { CopyText } from '../../parts/copy-text.tsx';
import { FailureView } from '../../parts/failure-view.tsx';
import { Icon } from '../../parts/icon.tsx';
import { Loading } from '../../parts/loading.tsx';
import { Facts } from '../../parts/page.tsx';
import { SupportBadge } from '../catalog/support-badge.tsx';
import type { Check } from './use-check.ts';
import { capital, choiceWords } from './words.ts';

export interface ReviewProps {
  readonly model: FormModel;
  /** Undefined for those who may not ask. */
  readonly check: Check | undefined;
  /** The request as it would be sent. */
  readonly body: object;
  readonly onStep: (step: number) => void;
}

export function Review({ model, check, body, onStep }: ReviewProps) {
  const { preview, error } = check ?? {};
  return (
    <>
      {error && <FailureView error={error} title="The launch cannot be checked." />}
      {check && !preview && !error && <Loading what="Asking the control plane" />}
      {preview && preview.refusals.length > 0 && (
        <Findings model={model} title="It would be refused" tone="bad" findings={preview.refusals} onStep={onStep} />
      )}
      {preview && preview.warnings.length > 0 && (
        <Findings model={model} title="Good to know" tone="warning" findings={preview.warnings} onStep={onStep} />
      )}
      {preview?.review && <Decided model={model} review={preview.review} />}
      <details class="payload">
        <summary>Request as it is sent</summary>
        <pre>{JSON.stringify(withoutSecrets(body), null, 2)}</pre>
      </details>
    </>
  );
}

interface Finding {
  readonly code: string;
  readonly path: string;
  readonly message: string;
  readonly hint?: string;
}

interface FindingsProps extends Pick<ReviewProps, 'model' | 'onStep'> {
  readonly title: string;
  readonly tone: 'bad' | 'warning';
  readonly findings: readonly Finding[];
}

/** Reasons or warnings, each with the way to the step where it can be changed. */
export function Findings({ model, title, tone, findings, onStep }: FindingsProps) {
  return (
    <section class={`findings findings-${tone}`} role={tone === 'bad' ? 'alert' : undefined}>
      <h3>
        <Icon name={tone === 'bad' ? 'error' : 'warning'} />
        {title}
      </h3>
      <ul>
        {findings.map(({ code, path, message, hint }) => {
          const index = stepOf(model.steps, path);
          const step = index === undefined ? undefined : model.steps[index];
          return (
            <li key={`${code}${path}${message}`}>
              <span>
                {message} {hint && <span class="muted">{hint}</span>}
              </span>
              {step && index !== undefined && (
                <Button tone="quiet" onClick={() => onStep(index)}>
                  Change in {step.title}
                </Button>
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

type Decision = NonNullable<Preview['review']>;

function Decided({ model, review }: { readonly model: FormModel; readonly review: Decision }) {
  const { app, display_name, allocation, node, artifact, resources, mounts, exposure, parameters, secrets } = review;
  const { gpu_count, cpu_cores, memory_gib } = resources;
  return (
    <div class="review">
      <section>
        <h3>What runs</h3>
        <Facts
          facts={[
            ['Name', display_name],
            [
              'App',
              <>
                {app.name} {app.version} <SupportBadge level={app.support_level as VersionCard['support_level']} />
              </>,
            ],
            ['Engine', words(app.engine)],
            [
              'Image',
              <>
                {artifact.name} <Badge state={artifact.lifecycle} /> <Badge state={artifact.trust} />
              </>,
            ],
          ]}
        />
      </section>
      <section>
        <h3>Where it runs</h3>
        <Facts
          facts={[
            ['Allocation', allocation.name],
            ['Host', node.name],
            ['Resources', `${gpu_count} ${gpu_count === 1 ? 'GPU' : 'GPUs'} · ${cpu_cores} cores · ${memory_gib} GiB`],
            ...mounts.map(
              ({ name, path, mode }) =>
                [
                  capital(words(name)),
                  <>
                    {choiceWords(mode).title} at <code>{path}</code>
                  </>,
                ] as const,
            ),
            ...exposure.map(
              ({ endpoint, mode, host_port, protocol, generated_token }) =>
                [
                  `Endpoint ${endpoint}`,
                  `${choiceWords(mode).title}, ${protocol} on port ${host_port} of the host, ${generated_token ? 'opened by a token that is made now' : 'without a token'}`,
                ] as const,
            ),
            ['Secrets', secrets.join(', ')],
          ]}
        />
      </section>
      <section class="review-wide">
        <h3>Image by its digest</h3>
        <CopyText text={`${artifact.repository}@${artifact.running_digest}`} what="the image" block />
      </section>
      <section class="review-wide">
        <h3>Settings</h3>
        <Facts facts={settingsOf(model, parameters)} />
      </section>
    </div>
  );
}

/** What the app is told, in the words of the form; amounts are said above. */
function settingsOf(model: FormModel, parameters: Decision['parameters']) {
  const fields = model.steps.flatMap(({ components }) =>
    components.flatMap((each) => (each.kind === 'field' ? [each.field] : [])),
  );
  return Object.entries(parameters).map(([name, value]) => {
    const label = fields.find((field) => field.name === name)?.label ?? capital(words(name));
    return [label, value === '' ? <span class="muted">none</span> : String(value)] as const;
  });
}

function withoutSecrets(body: object) {
  const { secrets, ...rest } = body as { secrets?: Record<string, unknown> };
  if (!secrets) return rest;
  const named = Object.entries(secrets).map(([name, secret]) => [
    name,
    typeof secret === 'string' ? '(typed, not shown)' : secret,
  ]);
  return { ...rest, secrets: Object.fromEntries(named) };
}
