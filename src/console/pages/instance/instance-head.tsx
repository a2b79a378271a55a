/** What stands above the tabs: how it is going, what is wrong, and what it is made of. */
import type { ComponentChildren } from 'preact';
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { credentialsOf } from '../../lib/credentials.ts';
import { counted, shortDigest, words } from '../../lib/format.ts';
import { Link, useRoute } from '../../lib/router.tsx';
import { Badge } from '../../parts/badge.tsx';
import { CopyText } from '../../parts/copy-text.tsx';
import { Icon } from '../../parts/icon.tsx';
import { Facts } from '../../parts/page.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { SupportBadge } from '../catalog/support-badge.tsx';
import { secondsText, shortNumber } from './amounts.ts';
import { cleanLine } from './clean-text.ts';
import type { InstanceEvent } from './instance-events.ts';
import { InstanceSteps } from './instance-steps.tsx';
import { factText, Trouble } from './trouble.tsx';

export function StateBadge({ instance, isStale }: { readonly instance: InstanceView; readonly isStale: boolean }) {
  return (
    <>
      <Badge state={instance.state} />
      <span class="muted state-since">
        <Timestamp at={instance.state_since} />
        {isStale && ', as last seen'}
      </span>
    </>
  );
}

interface HeadProps {
  readonly instance: InstanceView;
  readonly events: readonly InstanceEvent[];
}

export function InstanceHead({ instance, events }: HeadProps) {
  const { parts } = useRoute();
  return (
    <div class="instance-head">
      <Notices instance={instance} />
      {parts[2] !== 'access' && credentialsOf(instance.id) && <TokenNotice instance={instance} />}
      {instance.failure && <InstanceTrouble instance={instance} failure={instance.failure} />}
      <InstanceSteps events={events} instance={instance} />
      <section class="section" aria-label="What it is">
        <div class="fact-grid">
          <Facts facts={identity(instance)} />
          <Facts facts={place(instance)} />
        </div>
        <MoreDetails instance={instance} />
      </section>
    </div>
  );
}

function Notices({ instance }: { readonly instance: InstanceView }) {
  return (
    <>
      {instance.notices.map(({ code, message, reason, hint }) => (
        <div key={code} class="notice notice-warning" role="note">
          <Icon name="warning" />
          <p>
            <strong>{cleanLine(message)}</strong> {reason && `Reason: ${cleanLine(reason)} `}
            {cleanLine(hint)}
          </p>
        </div>
      ))}
    </>
  );
}

/** After a launch: what is shown once is not where one looks first. */
function TokenNotice({ instance }: { readonly instance: InstanceView }) {
  return (
    <div class="notice" role="note">
      <Icon name="lock" />
      <p>
        <strong>Its token is shown once.</strong>{' '}
        <Link to={`/instances/${encodeURIComponent(instance.id)}/access`}>Copy it under Access</Link> before this page
        is loaded again.
      </p>
    </div>
  );
}

type Failure = NonNullable<InstanceView['failure']>;

/** What can be done about a failure, by its class. */
const ways: Readonly<Record<NonNullable<InstanceView['recovery']>, readonly [title: string, text: string]>> = {
  retryable: ['Can be tried again', 'The same may succeed later, unchanged.'],
  drift: ['Differs from what was asked for', 'If its log shows no error of its own, a restart puts it right.'],
  repairable: ['Needs a correction', 'Correct its values or the image, or take away what stands in its way.'],
  intervention: ['Needs somebody to look', 'Somebody has to look at the host or the platform first.'],
};

function InstanceTrouble({ instance, failure }: { readonly instance: InstanceView; readonly failure: Failure }) {
  const way = instance.recovery === null ? undefined : ways[instance.recovery];
  const shown = way && (
    <>
      <strong>{way[0]}.</strong> {way[1]}
    </>
  );
  return (
    <Trouble failure={failure} way={shown}>
      <Link to={`/instances/${encodeURIComponent(instance.id)}/logs`}>Look at its log</Link>
    </Trouble>
  );
}

type Fact = readonly [string, ComponentChildren];

function identity(instance: InstanceView): Fact[] {
  const { about, app_slug, app_version, image_digest, resources } = instance;
  const level = about.support_level;
  return [
    [
      'App',
      <span key="app" class="row">
        <Link to={`/apps/${encodeURIComponent(app_slug)}`}>{cleanLine(about.app ?? app_slug)}</Link>
        <span>{app_version}</span>
        {level && <SupportBadge level={level} />}
      </span>,
    ],
    [
      'Image',
      <span key="image" class="row">
        {cleanLine(about.artifact ?? 'no longer known')}
        <CopyText text={image_digest} shown={shortDigest(image_digest)} what="the digest" />
      </span>,
    ],
    [
      'Resources',
      [
        ...(resources.gpu_count > 0 ? [counted(resources.gpu_count, 'GPU')] : []),
        `${shortNumber(resources.cpu_cores)} ${resources.cpu_cores === 1 ? 'core' : 'cores'}`,
        `${shortNumber(resources.memory_gib)} GiB memory`,
      ].join(' · '),
    ],
    ['Cards', cards(instance)],
  ];
}

function cards({ gpus }: InstanceView): ComponentChildren {
  if (gpus.length === 0) return null;
  return (
    <ul class="plain-list">
      {gpus.map(({ uuid, card }) => (
        <li key={uuid}>
          {card ? cleanLine(card.name) : 'A card that its host does not report'}{' '}
          {card && card.health !== 'healthy' && <Badge state={card.health} title={card.reason ?? undefined} />}
        </li>
      ))}
    </ul>
  );
}

const modes: Readonly<Record<string, string>> = {
  ...{ scratch: 'scratch, goes with the instance', project_storage: 'storage of the project' },
};

function place({ about, allocation_id, node_id }: InstanceView): Fact[] {
  return [
    [
      'Allocation',
      <Link key="allocation" to={`/allocations/${encodeURIComponent(allocation_id)}`}>
        {cleanLine(about.allocation ?? allocation_id)}
      </Link>,
    ],
    [
      'Node',
      node_id === null ? (
        'none yet'
      ) : (
        <Link to={`/nodes/${encodeURIComponent(node_id)}`}>{cleanLine(about.node ?? node_id)}</Link>
      ),
    ],
    [
      'Storage',
      about.storage.length === 0 ? (
        'none'
      ) : (
        <ul class="plain-list">
          {about.storage.map(({ name, mode, path }) => (
            <li key={name} title={path}>
              {cleanLine(name)}: {modes[mode] ?? mode}
            </li>
          ))}
        </ul>
      ),
    ],
    ['Exposure', about.exposure_mode === 'private' ? 'private, by SSH tunnel' : words(about.exposure_mode)],
  ];
}

function MoreDetails({ instance }: { readonly instance: InstanceView }) {
  const { id, trace_id, created_at, created_by, config, commands, cleanup, current_task_id } = instance;
  const values = Object.entries(config).map(([name, value]): Fact => [words(name), factText(value)]);
  return (
    <details class="more">
      <summary>Values, ids and commands</summary>
      <div class="fact-grid">
        <Facts facts={values} />
        <Facts
          facts={[
            ['Instance', <CopyText key="id" text={id} what="the id of the instance" />],
            ['Newest task', current_task_id && <CopyText text={current_task_id} what="the id of the task" />],
            ['Trace', <CopyText key="trace" text={trace_id} what="the trace id" />],
            ['Asked for', <Timestamp key="at" at={created_at} exact />],
            ['By token', cleanLine(created_by)],
            ['Left behind', cleanup && leftBehind(cleanup)],
            ['A launch may take', secondsText(instance.launch_seconds)],
          ]}
        />
      </div>
      {commands.map(({ name, command }) => (
        <div key={name} class="command">
          <span class="muted">{cleanLine(name)}</span>
          <CopyText text={command} shown={cleanLine(command)} what={`the command ${cleanLine(name)}`} block />
        </div>
      ))}
    </details>
  );
}

function leftBehind({ kept, failed }: NonNullable<InstanceView['cleanup']>): ComponentChildren {
  const lines = [...kept.map((each) => `kept: ${each}`), ...failed.map((each) => `could not be removed: ${each}`)];
  if (lines.length === 0) return 'nothing';
  return (
    <ul class="plain-list">
      {lines.map((line) => (
        <li key={line}>{cleanLine(line)}</li>
      ))}
    </ul>
  );
}
