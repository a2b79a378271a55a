/** A filter of a list that is kept in the address of the page. */
import { navigate, useRoute } from '../lib/router.tsx';
import { type Choice, Filter } from './field.tsx';

export interface QueryFilterProps {
  /** Name in the address and for the control plane: `state`. */
  readonly name: string;
  /** `All states`. */
  readonly all: string;
  readonly choices: readonly Choice[];
}

export function QueryFilter({ name, all, choices }: QueryFilterProps) {
  const { path, query } = useRoute();
  const choose = (value: string) => {
    const other = new URLSearchParams(query);
    other.delete('after');
    if (value === '') other.delete(name);
    else other.set(name, value);
    navigate(`${path}?${other}`, { replace: true });
  };
  return (
    <Filter
      label={all}
      value={query.get(name) ?? ''}
      choices={[{ value: '', label: all }, ...choices]}
      onValue={choose}
    />
  );
}
