/** Jobs of one revision that share a service which counts how often it was asked, and ends when it is told to. */
import { randomBytes } from 'node:crypto';
import type { JobPlan } from '../../src/contract/job-plan.ts';
import { plan as planOf, service, step, words } from './job-plans.ts';

type Restart = JobPlan['services'][number]['restart'];
/** Those who ask at the same moment have turns. */
const next = `#!/bin/sh
until mkdir /w/turn 2>/dev/null; do :; done
read n < /w/n; echo $((n+1)) > /w/n; rmdir /w/turn; echo; echo $((n+1))`;
const counter = `echo counting; mkdir -p /w/cgi-bin; rm -rf /w/end /w/turn; echo 0 > /w/n; touch /w/ok
cat > /w/cgi-bin/next <<'EOF'
${next}
EOF
printf '#!/bin/sh\\necho $QUERY_STRING > /w/end; echo' > /w/cgi-bin/end
chmod +x /w/cgi-bin/*; httpd -p 8080 -h /w
until [ -s /w/end ]; do sleep 0.1; done; exit $(cat /w/end)`;

/** Lines of a task. */
export const ask = 'wget -qO- http://counter:8080/cgi-bin/next';
export const end = (code: number) => `wget -qO- http://counter:8080/cgi-bin/end?${code}`;
export const untilAsked = (times: number) =>
  `until [ "$(wget -qO- http://counter:8080/n)" -ge ${times} ]; do sleep 0.1; done`;

export const newRevision = () => randomBytes(32).toString('hex');

/** Where it is to run, and what of. */
export interface SharedGround {
  readonly allocation: string;
  /** Reference of the image `tiny`. */
  readonly tiny: string;
}

export interface Over {
  readonly project?: string;
  readonly restart?: Restart;
  /** Of each container; 0.0625 if absent. */
  readonly memoryGib?: number;
  /** What a service of the job alone says to whoever asks for `http://helper:8080/said`; without one, there is none. */
  readonly helper?: string;
  /** Of the cache that task and shared service have at `/kept`. */
  readonly maxBytes?: number;
}

/** A job of the revision whose task does this, and tells what it says. */
export function sharingJob(
  { allocation, tiny }: SharedGround,
  revision: string,
  line: string,
  { project = 'project-7', restart, memoryGib = 0.0625, helper, maxBytes }: Over = {},
): JobPlan {
  const base = planOf();
  const resources = { gpu_count: 0, cpu_cores: 0.1, memory_gib: memoryGib };
  const asked = (path: string) => ({
    healthcheck: { command: ['wget', '-qO', '/dev/null', `http://127.0.0.1:8080/${path}`] },
  });
  const mounts = [{ volume: 'kept', path: '/kept', read_only: false }];
  const helps = `mkdir /w; echo ${helper} > /w/said; exec httpd -f -p 8080 -h /w`;
  const media_type = 'application/vnd.docker.distribution.manifest.v2+json';
  return {
    ...{
      ...base,
      images: [{ id: 'main', source: { kind: 'registry', reference: tiny, media_type } }],
      stop_grace_seconds: 0,
      resources: { ...resources, cpu_cores: 0.3, memory_gib: 3 * memoryGib },
    },
    identity: {
      ...{ ...base.identity, job_id: `test-${randomBytes(5).toString('hex')}`, project_id: project },
      allocation_id: allocation,
    },
    caches: [
      {
        ...{ name: 'kept', revision_sha256: revision, class: 'data', seed_from_image: false },
        ...(maxBytes !== undefined && { max_bytes: maxBytes }),
      },
    ],
    services: [
      {
        ...{ ...service('counter'), command: words('/bin/sh', '-c', counter), resources, mounts, scope: 'project' },
        ...(restart && { restart }),
        ...asked('ok'),
      },
      ...(helper === undefined
        ? []
        : [{ ...service('helper'), command: words('/bin/sh', '-c', helps), resources, ...asked('said') }]),
    ],
    steps: [
      step('task', {
        ...{ command: words('/bin/sh', '-c', line), resources, mounts },
        results: [{ name: 'said', regex: '(.+)', channels: ['stdout'] }],
      }),
    ],
  };
}
