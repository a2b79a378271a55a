/**
 * Where our verdict on a job definition and that of the published types (`@nosana/types`) differ, one example each. The table in
 * docs/dialects/nosana.md has the same rows.
 */

export interface Difference {
  readonly what: string;
  readonly here: 'valid' | 'refused';
  readonly why: string;
  readonly definition: object;
}

const run = (args: object = {}, more: object = {}) => ({
  ...{ type: 'container/run', id: 'a', args: { image: 'debian:12', ...args } },
  ...more,
});
const job = (ops: readonly object[], more: object = {}) => ({ version: '0.1', type: 'container', ...more, ops });
const http = { type: 'http', path: '/', method: 'GET', expected_status: 200 };

export const differences: readonly Difference[] = [
  {
    what: '`execution.timeout`',
    here: 'valid',
    why: 'Their node takes it; the types lag behind.',
    definition: job([run({}, { execution: { timeout: 60 } })]),
  },
  {
    what: '`args.required_vram`, `args.output`',
    here: 'valid',
    why: 'Their node takes them; the types lag behind.',
    definition: job([run({ required_vram: 24, output: '/results' })]),
  },
  {
    what: 'ranges of ports, `8000-8010`',
    here: 'valid',
    why: 'Their documents have them; the types know literals only.',
    definition: job([run({ expose: ['8000-8010', 9000] })]),
  },
  {
    what: 'a health check without `continuous`',
    here: 'valid',
    why: 'Their own examples leave it out. It is false then.',
    definition: job([run({ expose: [{ port: 80, health_checks: [http] }] })]),
  },
  {
    what: '`restart_on_failure`, `max_restarts` of a health check',
    here: 'valid',
    why: 'Their node takes them; the types lag behind.',
    definition: job([
      run({ expose: [{ port: 80, health_checks: [{ ...http, continuous: true, restart_on_failure: true }] }] }),
    ]),
  },
  {
    what: 'an S3 key without `REGION`',
    here: 'valid',
    why: 'The example of their documents has none. It is `us-east-1` then.',
    definition: job([
      run({
        resources: [
          {
            ...{ type: 'S3', url: 'https://s3.example.com/b', target: '/data' },
            IAM: { ACCESS_KEY_ID: 'key', SECRET_ACCESS_KEY: 'secret' },
          },
        ],
      }),
    ]),
  },
  {
    what: 'an op without `image` beside `global.image`',
    here: 'valid',
    why: 'Documented as a default for all ops; their types ask for one all the same.',
    definition: job([{ type: 'container/run', id: 'a', args: { cmd: 'true' } }], { global: { image: 'debian:12' } }),
  },
  {
    what: 'no op at all',
    here: 'refused',
    why: 'There is nothing to run.',
    definition: job([]),
  },
  {
    what: 'an empty `image`, or one that is no name of an image',
    here: 'refused',
    why: 'Nothing could be pulled.',
    definition: job([run({ image: 'Not An Image' })]),
  },
  {
    what: 'ports below 1 or above 65535, or that are no whole number',
    here: 'refused',
    why: 'There are no such ports.',
    definition: job([run({ expose: 99_999 })]),
  },
  {
    what: '`depends_on` of an op that is not there, of itself, of another group, or in a circle',
    here: 'refused',
    why: 'Their node runs nothing then, and reports success.',
    definition: job([run({}, { execution: { depends_on: ['b'] } })]),
  },
  {
    what: 'a literal that names nothing, or a result that is not there yet',
    here: 'refused',
    why: 'Their node fails half-way.',
    definition: job([run({ cmd: ['echo', '%%ops.b.results.x%%'] })]),
  },
  {
    what: 'a literal where it cannot be known in time: `image` from a result, entries of `resources`, targets, aliases, checks, credentials',
    here: 'refused',
    why: 'Images are resolved to digests, and hosts chosen, before anything runs.',
    definition: job([
      run({}, { results: { r: 'x' } }),
      {
        type: 'container/run',
        id: 'b',
        args: { image: 'debian:12', resources: [{ __spread__: '%%ops.a.results.r%%' }] },
      },
    ]),
  },
  {
    what: 'a `regex` of a result that is none, that needs more than linear time (back references, look-around), or that becomes a large program (`x{1000}` again and again)',
    here: 'refused',
    why: 'A log line must not be able to stop a host.',
    definition: job([run({}, { results: { r: '(?=x)' } })]),
  },
  {
    what: 'an S3 resource without `url`, `bucket` and `buckets`, or with an address that is none',
    here: 'refused',
    why: 'Nothing could be fetched.',
    definition: job([run({ resources: [{ type: 'S3', target: '/data' }] })]),
  },
  {
    what: 'an S3 resource whose address waits behind its `?` for something of the run',
    here: 'refused',
    why: 'What stands there is a key, and is sealed before anything runs.',
    definition: job([
      run({ resources: [{ type: 'S3', target: '/data', url: 'https://store.example.com/x?job=%%global.job%%' }] }),
    ]),
  },
  {
    what: 'a Hugging Face `repo` that is not `owner/name`',
    here: 'refused',
    why: 'Nothing could be fetched.',
    definition: job([run({ resources: [{ type: 'HF', repo: 'model', target: '/m' }] })]),
  },
  {
    what: 'a `target`, `dest`, `output` or `work_dir` that is no absolute path',
    here: 'refused',
    why: 'An engine would refuse it when the op starts.',
    definition: job([run({ volumes: [{ name: 'v', dest: 'data' }] })]),
  },
  {
    what: 'a `target`, `dest` or `output` that is the place of other data, in it or around it, or a place of the system (`/etc`, `/proc`)',
    here: 'refused',
    why: 'Hosts refuse it. An `output` that is the `dest` of a volume is that volume.',
    definition: job([
      run({
        volumes: [
          { name: 'a', dest: '/data' },
          { name: 'b', dest: '/data/b' },
        ],
      }),
    ]),
  },
  {
    what: 'arguments of `container/run` in `container/create-volume`, and the other way round',
    here: 'refused',
    why: 'Their types take an op of one kind with the arguments of the other.',
    definition: job([{ type: 'container/create-volume', id: 'a', args: { image: 'debian:12' } }]),
  },
  {
    what: 'variables that the host obeys: `LD_*`, `NVIDIA_*`, `*_VISIBLE_DEVICES`; names that are no names of variables',
    here: 'refused',
    why: 'Cards come from `gpu`, and loaders of the host are not the job’s ([safety.md](../safety.md)).',
    definition: job([run({ env: { NVIDIA_VISIBLE_DEVICES: 'all' } })]),
  },
  {
    what: 'a registry account without its password, or for another registry than that of the image',
    here: 'refused',
    why: 'A password goes to the registry it is for, and to no other.',
    definition: job([
      run({ authentication: { docker: { username: 'u', password: 'p', server: 'https://other.example.com' } } }),
    ]),
  },
  {
    what: 'an empty `id`',
    here: 'refused',
    why: 'An op has to have a name.',
    definition: job([run({}, { id: '' })]),
  },
  {
    what: 'different values in `meta.system_resources` and `meta.system_requirements`, or a `required_vram` that is no number',
    here: 'refused',
    why: 'Both spellings are in use, and one of them would be believed.',
    definition: job([run()], {
      meta: { system_resources: { required_vram: 8 }, system_requirements: { required_vram: 16 } },
    }),
  },
  {
    what: 'more than 128 ops, 13 containers in one group, 64 ports of one op',
    here: 'refused',
    why: 'The network of a job has no more addresses, and each port takes one of the host.',
    definition: job([run({ expose: Array.from({ length: 65 }, (_, index) => 8000 + index) })]),
  },
];
