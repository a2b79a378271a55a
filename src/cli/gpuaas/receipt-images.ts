/** The images that a receipt names, for people: what ran, and of what its host has built it. */
import type { JobReceipt } from '../../contract/job-receipt.ts';

/** One line of each image, and further in where it comes from. */
export function imageLines(images: JobReceipt['images']): string[] {
  return images.flatMap(({ id, image_id, reference, provenance }) => [
    `image ${id}: ${image_id ?? 'not there when the job ended'}, ${reference}`,
    ...(provenance?.bases ?? []).map((base) => `  on ${base}`),
    ...(provenance?.builder ? [`  built by ${builderOf(provenance)}`] : []),
  ]);
}

function builderOf({ builder, engine }: NonNullable<JobReceipt['images'][number]['provenance']>): string {
  return engine ? `${builder} of engine ${engine}` : `${builder}`;
}
