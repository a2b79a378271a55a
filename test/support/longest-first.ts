import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { startPrograms, takeLong } from './named-files.ts';

const first = [...startPrograms, ...takeLong];
/** -1 for most. */
const rankOf = ({ moduleId }: TestSpecification) => first.findIndex((file) => moduleId.endsWith(file));

/**
 * Order of the files of a project: what starts many programs and what takes long first, then by what they took the last time, else
 * larger before smaller.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const ofProjects = Map.groupBy(sorted, ({ project }) => project.name);
    return [...ofProjects.values()].flatMap((ofOne) => [
      ...ofOne.filter((file) => rankOf(file) !== -1).sort((one, other) => rankOf(one) - rankOf(other)),
      ...ofOne.filter((file) => rankOf(file) === -1),
    ]);
  }
}
