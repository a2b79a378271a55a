/** For people of the platform, who belong to no project: whose launch it is. Where there is one project, it is that. */
import { useEffect } from 'preact/hooks';
import { useResource } from '../../lib/use-resource.ts';
import { Select } from '../../parts/field.tsx';
import { Shown } from '../../parts/page.tsx';

interface Project {
  readonly id: string;
  readonly name: string;
  readonly display_name: string;
}

export interface ProjectPickerProps {
  readonly value: string | undefined;
  readonly onPick: (id: string | undefined) => void;
}

export function ProjectPicker({ value, onPick }: ProjectPickerProps) {
  const projects = useResource<{ items: Project[] }>('/api/v1/projects', { subjects: ['project'] });
  const [only, ...others] = projects.data?.items ?? [];
  const chosen = value ?? (others.length === 0 ? only?.id : undefined);
  useEffect(() => {
    if (chosen !== value) onPick(chosen);
  }, [chosen]);
  return (
    <Shown of={projects} title="The projects cannot be shown.">
      {({ items }) => (
        <Select
          label="Project"
          hint="You belong to the platform: say for which project it is launched."
          value={value ?? ''}
          choices={[
            { value: '', label: 'Choose a project' },
            ...items.map(({ id, display_name }) => ({ value: id, label: display_name })),
          ]}
          onValue={(id) => onPick(id === '' ? undefined : id)}
        />
      )}
    </Shown>
  );
}
