/** The components of a wizard that belong to the platform: where it runs, from which image, and as whom. */
import { bytes, counted, shortDigest, words } from '../../lib/format.ts';
import { Badge } from '../../parts/badge.tsx';
import { Empty } from '../../parts/empty.tsx';
import { Select } from '../../parts/field.tsx';
import type { Named, Offers } from './offers.ts';
import { type RadioCard, RadioCards } from './radio-cards.tsx';

type AllocationOption = NonNullable<Offers['allocations']>[number];
type ArtifactOption = NonNullable<Offers['artifacts']>[number];

interface PickProps<T> {
  readonly label: string;
  readonly required: boolean;
  readonly error: string | undefined;
  /** Undefined while they are not known. */
  readonly things: readonly T[] | undefined;
  readonly value: string | undefined;
  readonly onPick: (id: string | undefined) => void;
}

export function AllocationPicker({ things, ...rest }: PickProps<AllocationOption>) {
  if (things?.length === 0) {
    return (
      <Empty icon="allocations" title="Your project has no allocation.">
        An operator makes one: it says which host your project may use, and how much of it.
      </Empty>
    );
  }
  return <RadioCards {...rest} cards={(things ?? []).map(allocationCard)} />;
}

function allocationCard({
  id,
  name,
  eligible,
  reasons,
  node,
  cards,
  total,
  free,
  project_storage,
}: AllocationOption): RadioCard {
  const left = (amount: 'gpu_count' | 'cpu_cores' | 'memory_gib') => (free ? `${free[amount]} of ` : '');
  const models = [...new Set(cards.map((card) => card.name))];
  const detail = (
    <>
      <span class="amounts">
        <span>
          <b>
            {left('gpu_count')}
            {total.gpu_count}
          </b>{' '}
          {total.gpu_count === 1 ? 'GPU' : 'GPUs'}
        </span>
        <span>
          <b>
            {left('cpu_cores')}
            {total.cpu_cores}
          </b>{' '}
          cores
        </span>
        <span>
          <b>
            {left('memory_gib')}
            {total.memory_gib}
          </b>{' '}
          GiB
        </span>
        {free && <span class="muted">free</span>}
      </span>
      <span class="muted">
        {[
          node ? `on ${node.name}${node.connected ? '' : ', which is not connected'}` : 'no host yet',
          ...models.map((model) => `${cards.filter((card) => card.name === model).length} × ${model}`),
          ...(project_storage ? ['project storage'] : []),
        ].join(' · ')}
      </span>
    </>
  );
  return { value: id, title: name, detail, ...(eligible ? {} : { reasons }) };
}

export function ArtifactPicker({
  things,
  reason,
  ...rest
}: PickProps<ArtifactOption> & { readonly reason: string | null | undefined }) {
  if (things?.length === 0) {
    return (
      <Empty icon="artifacts" title="There is no image to launch it from.">
        {reason}
      </Empty>
    );
  }
  return <RadioCards {...rest} cards={(things ?? []).map(artifactCard)} />;
}

function artifactCard({
  id,
  name,
  repository,
  digest,
  platform_digest,
  lifecycle,
  trust,
  channels,
  size_bytes,
}: ArtifactOption): RadioCard {
  const running = platform_digest ?? digest;
  const title = (
    <>
      {name} <Badge state={lifecycle} label={[lifecycle, ...channels].join(' · ')} /> <Badge state={trust} />
    </>
  );
  const detail = (
    <>
      <code title={`${repository}@${running}`}>
        {repository}@{shortDigest(running)}
      </code>
      {size_bytes !== null && <span class="muted">{bytes(size_bytes)}</span>}
    </>
  );
  return { value: id, title, detail };
}

interface NamedPickerProps extends PickProps<Named> {
  /** What there is none of: `access credential`. */
  readonly what: string;
}

/** By name only: what is behind a name is never shown, here or anywhere. */
export function NamedPicker({ things = [], what, value, onPick, ...rest }: NamedPickerProps) {
  if (things.length === 0) {
    return (
      <Empty icon="lock" title={`Your project has no ${what}.`}>
        {rest.required ? `This app needs one: somebody of the project makes it first.` : `This app works without one.`}
      </Empty>
    );
  }
  const none = { value: '', label: rest.required ? `Choose one of ${counted(things.length, what)}` : 'None' };
  const choices = things.map(({ id, name, kind, role }) => {
    const sort = kind ?? role;
    return { value: id, label: sort === undefined ? name : `${name} (${words(sort)})` };
  });
  return (
    <Select
      {...rest}
      value={value ?? ''}
      choices={[none, ...choices]}
      onValue={(id) => onPick(id === '' ? undefined : id)}
    />
  );
}
