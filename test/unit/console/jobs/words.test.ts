import { describe, expect, it } from 'vitest';
import { needsWords } from '../../../../src/console/pages/jobs/needs-words.ts';
import { imagesOf, readReceipt, verifyCommands } from '../../../../src/console/pages/jobs/receipt.ts';
import { detailWords, endWords, mostTelling, type StepView } from '../../../../src/console/pages/jobs/step-words.ts';
import { tunnelCommand } from '../../../../src/console/pages/jobs/tunnel.ts';
import { aStepReport, secondOf } from '../../../support/job-samples.ts';

const stepOf = (given: Parameters<typeof aStepReport>[1] = {}) => aStepReport('train', given) as StepView;
const now = Date.parse(secondOf(100));

describe('a step in words', () => {
  it.each([
    [{}, 'succeeded · exit code 0 · 12 s'],
    [{ state: 'running', ended_at: null, exit_code: null }, 'running · 1 min 39 s'],
    [{ state: 'pending', started_at: null, ended_at: null, exit_code: null, attempts: 0 }, 'pending'],
    [{ state: 'failed', exit_code: 137, oom_killed: true }, 'failed · exit code 137, out of memory · 12 s'],
    [{ state: 'timed_out', exit_code: null, signal: 'SIGKILL', attempts: 2 }, 'timed out · SIGKILL · 12 s · 2 starts'],
  ] as const)('%j is %s', (given, words) => {
    expect(detailWords(stepOf(given), now)).toBe(words);
  });

  it('has no words for an end that is not known', () => {
    expect(endWords(stepOf({ exit_code: null }))).toBeUndefined();
  });

  it('is looked at first where it went wrong, else where it runs, else at the beginning', () => {
    const steps = (...states: StepView['state'][]) =>
      states.map((state, at) => ({ ...stepOf({ state }), id: `step-${at}` }));

    expect(mostTelling(steps('succeeded', 'running', 'timed_out'))).toBe('step-2');
    expect(mostTelling(steps('succeeded', 'running', 'waiting'))).toBe('step-1');
    expect(mostTelling(steps('succeeded', 'succeeded'))).toBe('step-0');
    expect(mostTelling([])).toBeUndefined();
  });
});

it('what a job needs is said in amounts, and what is left to its host is not', () => {
  const none = { gpu_count: 0, gpu_memory_mib: 0, cpu_cores: null, memory_gib: null, disk_gib: 0 };

  expect(needsWords(none)).toBe('a share of its host');
  expect(needsWords({ gpu_count: 2, gpu_memory_mib: 22_888, cpu_cores: 8, memory_gib: 32, disk_gib: 5 })).toBe(
    '2 GPUs of 24 GB · 8 cores · 32 GiB · 5 GiB disk',
  );
});

it('a tunnel leads to the same port, by the port of the login where that is another', () => {
  expect(tunnelCommand({ host: 'gpu-1', port: 22, user: 'me' }, 8001)).toBe('ssh -N -L 8001:127.0.0.1:8001 me@gpu-1');
  expect(tunnelCommand({ host: 'gpu-1', port: 2222, user: 'me' }, 80)).toContain('-p 2222 me@gpu-1');
});

describe('a receipt', () => {
  it('is read as what its node says', () => {
    const payload = Buffer.from(JSON.stringify({ number: 7, node_id: 'knoten-ü' })).toString('base64url');

    expect(readReceipt(`header.${payload}.signature`)).toEqual({ number: 7, node_id: 'knoten-ü' });
  });

  it.each(['', 'a.b.c', '..', `a.${Buffer.from('7').toString('base64url')}.c`])('is none where it reads %j', (text) => {
    expect(readReceipt(text)).toBeUndefined();
  });

  it('has what ran, and of what its host has built it; of a node that writes something else nothing', () => {
    const provenance = { bases: ['python@sha256:1', 7], builder: 'docker-classic', engine: '20.10.24' };
    const odd = { id: { toString: 1 }, provenance: { builder: { toString: 1 }, engine: [] } };
    const images = [
      { id: 'a', image_id: 'sha256:2', reference: 'revision@sha256:3', provenance },
      { id: 'b' },
      null,
      odd,
    ];

    expect(imagesOf({ images } as never)).toEqual([
      {
        ...{ id: 'a', names: ['sha256:2', 'revision@sha256:3', 'python@sha256:1'] },
        builder: 'docker-classic of engine 20.10.24',
      },
      { id: 'b', names: [], builder: '' },
      { id: '', names: [], builder: '' },
      { id: '', names: [], builder: '' },
    ]);
    expect(imagesOf({ images: 'none' } as never)).toEqual([]);
  });

  it('is verified by commands that name the job and its node', () => {
    expect(verifyCommands({ id: 'job-1', node_id: 'node-1' }).join('\n')).toBe(
      [
        'gpuaas jobs receipt job-1 -o job-1.receipt',
        'gpuaas nodes keys node-1 -o node-keys.json',
        'gpuaas jobs verify job-1.receipt --key node-keys.json',
      ].join('\n'),
    );
  });
});
