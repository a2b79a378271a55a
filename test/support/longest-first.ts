import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that are short and take long, most of it waiting: by their size they would begin last, and end alone. */
const takesLong = /\/(host\/update|integration\/daemon-(health|slow-socket))\.test\.ts$/;

/** Order of the files of a project: what takes long first, then larger before smaller. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const ofProjects = Map.groupBy(sorted, ({ project }) => project.name);
    return [...ofProjects.values()].flatMap((ofOne) => [
      ...ofOne.filter(({ moduleId }) => takesLong.test(moduleId)),
      ...ofOne.filter(({ moduleId }) => !takesLong.test(moduleId)),
    ]);
  }
}
