/**
 * The way out of a job with a list of addresses: one stream and one request through its proxy, in a container that the gate has made, against
 * the same from a container with a way out of its own. The place is on this machine, so that nothing but the proxy lies between.
 */
import { readFileSync } from 'node:fs';
import type { JobTaskOutput } from '../src/contract/job-output.ts';
import type { JobPlan } from '../src/contract/job-plan.ts';
import { ownRange } from '../test/integration/gate-ground.ts';
import { openOutside } from '../test/support/egress-ground.ts';
import { engineCall } from '../test/support/engine-call.ts';
import { plan as planOf, step, words } from '../test/support/job-plans.ts';
import { openTestHost, type TestHost } from '../test/support/test-host.ts';
import { type Measurement, median } from './measurement.ts';

const rounds = 5;
const mebibytes = 512;
const requests = 200;
const mostMs = 2;
const leastMbPerS = 250;
/** Half of what its container may have. */
const mostMb = 128;
/** Collectors let go of buffers when they like. */
const slackMb = 32;

/** Prints, of each round, seconds of a stream through a tunnel and milliseconds of a request, as the client has them. */
const client = (place: string, proxy: boolean) => `
import socket, time
place, port = '${place}', 80
def stream():
    if ${proxy ? 'True' : 'False'}:
        s = socket.create_connection(('egress', 3128)); s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.sendall(('CONNECT %s:%d HTTP/1.1\\r\\nHost: %s:%d\\r\\n\\r\\n' % (place, port, place, port)).encode())
        assert b' 200 ' in s.recv(4096)
    else:
        s = socket.create_connection((place, port))
    s.sendall(('GET /stream HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n' % place).encode())
    return s
buffer = bytearray(1 << 20)
def all_of(s):
    total = 0
    while True:
        n = s.recv_into(buffer)
        if n == 0: return total
        total += n
def ask():
    begun = time.perf_counter()
    s = socket.create_connection(('egress', 3128) if ${proxy ? 'True' : 'False'} else (place, port))
    s.sendall(('GET %s HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n' % ('http://%s/' % place if ${proxy ? 'True' : 'False'} else '/', place)).encode())
    while s.recv(4096): pass
    s.close()
    return time.perf_counter() - begun
for _ in range(${rounds}):
    begun = time.perf_counter()
    total = all_of(stream())
    assert total > ${mebibytes} << 20, total
    print('stream', time.perf_counter() - begun)
    print('request', sorted(ask() for _ in range(${requests}))[${requests} // 2] * 1000, flush=True)
`;

export async function egressCost(image: string): Promise<Measurement[]> {
  const outside = await openOutside(await ownRange());
  const { open } = outside;
  const host = await openTestHost({ policy: { egress: { allow: [`${open}/32`], name_servers: [open] } } });
  try {
    const theirs = await run(host, image, 'egress-bench-bridge', client(open, false), { network: 'bridge' });
    const egress = { rules: [{ scheme: 'http' as const, host: 'open.example', port: 80 }], any_public: [] };
    const watching = watchMemory(host, 'gpuaas-egress-bench-list.egress');
    const ours = await run(host, image, 'egress-bench-list', client('open.example', true), {
      network: 'allow_list',
      egress,
    });
    const memory = await watching.end();
    const mbPerS = (seconds: readonly number[]) => (mebibytes * 1.048576) / median(seconds);
    const [mine, direct] = [mbPerS(ours.stream), mbPerS(theirs.stream)];
    const added = median(ours.request) - median(theirs.request);
    return [
      {
        ...{ name: 'egress: one stream through the proxy of a job', unit: 'MB/s', ours: mine, theirs: direct },
        ...{ against: 'a container with a way out', target: `at least ${leastMbPerS} MB/s`, met: mine >= leastMbPerS },
      },
      {
        ...{ name: 'egress: one request, name resolved and judged', unit: 'ms' },
        ...{
          ours: median(ours.request),
          theirs: median(theirs.request),
          against: 'a container with a way out, by address',
        },
        ...{ target: `at most ${mostMs} ms more`, met: added <= mostMs },
      },
      {
        ...{
          name: 'egress: memory of the proxy, at most, in the later half',
          unit: 'MB',
          ours: memory.later,
          theirs: memory.earlier,
        },
        ...{ against: 'the earlier half', target: `at most ${mostMb} MB, and no growth`, met: isFlat(memory) },
      },
    ];
  } finally {
    await host.close();
    await outside.close();
  }
}

async function run(host: TestHost, image: string, id: string, script: string, over: Partial<JobPlan>) {
  const media_type = 'application/vnd.docker.distribution.manifest.v2+json';
  const pattern = (word: string) => ({ name: word, regex: `^${word} (.+)$`, channels: ['stdout' as const] });
  const plan = planOf({
    identity: { ...planOf().identity, job_id: id, allocation_id: host.policy.allocation.id },
    images: [{ id: 'main', source: { kind: 'registry', reference: image, media_type } }],
    steps: [
      step('one', {
        command: words('python3', '-c', script),
        resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 0.25 },
        results: [pattern('stream'), pattern('request')],
      }),
    ],
    ...over,
  });
  const { output, failure } = await host.run('workload.job_launch', plan);
  if (failure) throw new Error(JSON.stringify(failure));
  const { results = {} } = (output as JobTaskOutput).report?.steps[0] ?? {};
  return { stream: (results['stream'] ?? []).map(Number), request: (results['request'] ?? []).map(Number) };
}

/** Private memory of the program, from outside. */
function watchMemory({ engineSocket }: TestHost, container: string) {
  const seen: number[] = [];
  const look = async () => {
    const { status, body } = await engineCall<{ State: { Pid: number } }>(
      engineSocket,
      'GET',
      `/containers/${container}/json`,
    );
    if (status !== 200 || body.State.Pid === 0) return;
    // The program is the child of the engine's init.
    const [pid] = readFileSync(`/proc/${body.State.Pid}/task/${body.State.Pid}/children`, 'utf8').split(' ');
    const [, kib = '0'] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    seen.push(Number(kib) / 1000);
  };
  const timer = setInterval(() => void look().catch(() => undefined), 50);
  return {
    end: async () => {
      clearInterval(timer);
      const middle = Math.floor(seen.length / 2);
      return { earlier: Math.max(...seen.slice(0, middle)), later: Math.max(...seen.slice(middle)) };
    },
  };
}

function isFlat({ earlier, later }: { readonly earlier: number; readonly later: number }): boolean {
  return later <= mostMb && later <= earlier + slackMb;
}
