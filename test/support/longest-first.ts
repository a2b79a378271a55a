import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { takeLong } from './named-files.ts';

const takesLong = ({ moduleId }: TestSpecification) => takeLong.some((file) => moduleId.endsWith(file));

/** Order of the files of a project: what takes long first, then by what they took the last time, else larger before smaller. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const ofProjects = Map.groupBy(sorted, ({ project }) => project.name);
    return [...ofProjects.values()].flatMap((ofOne) => [
      ...ofOne.filter(takesLong),
      ...ofOne.filter((file) => !takesLong(file)),
    ]);
  }
}
