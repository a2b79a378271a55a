/** The images of a plan: each name once for each account that pulls it. */
import type { PullingPlan } from '../../contract/job-plan.ts';
import { readImageName, wholeName } from '../image-name.ts';
import type { JobSecret, Pins } from '../planned-job.ts';
import type { RunArgs } from './definition.ts';

const defaultMediaType = 'application/vnd.oci.image.manifest.v1+json';

export class PlanImages {
  readonly images: PullingPlan['images'] = [];
  readonly unresolved: { path: string; reference: string }[] = [];
  readonly secrets: JobSecret[] = [];
  /** Where the definition names each, by id. */
  readonly paths: Record<string, string> = {};
  readonly #ids = new Map<string, string>();
  readonly #pins: Pins;

  constructor(pins: Pins) {
    this.#pins = pins;
  }

  /** Id of the image in the plan. `path` is where the definition names it. */
  add(written: string, authentication: RunArgs['authentication'], path: string): string {
    const name = readImageName(written);
    const reference = name ? wholeName(name) : written;
    const { username, password } = authentication?.docker ?? {};
    const key = JSON.stringify([reference, username, password]);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;

    const id = `image-${this.images.length + 1}`;
    this.#ids.set(key, id);
    this.paths[id] = path;
    const pin = Object.hasOwn(this.#pins, reference) ? this.#pins[reference] : undefined;
    this.images.push({ id, source: { kind: 'registry', reference, media_type: defaultMediaType, ...pin } });
    if (pin === undefined && name?.digest === undefined) this.unresolved.push({ path, reference });
    if (username !== undefined && password !== undefined) {
      this.secrets.push({ for: 'image', id, value: { username, password } });
    }
    return id;
  }
}
