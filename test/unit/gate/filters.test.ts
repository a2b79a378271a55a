import { describe, expect, it } from 'vitest';
import { containerFilters, eventFilters, networkFilters, volumeFilters } from '../../../src/gate/filters.ts';

describe('filters', () => {
  it('force the label of the seal, whatever the client asks for', () => {
    expect(JSON.parse(containerFilters(undefined))).toEqual({ label: ['gpuaas.seal'] });
    expect(JSON.parse(containerFilters('{"label":["gpuaas.instance=a"],"status":["running"]}'))).toEqual({
      label: ['gpuaas.instance=a', 'gpuaas.seal'],
      status: ['running'],
    });
  });

  it('are read in both forms that clients write', () => {
    expect(JSON.parse(containerFilters('{"label":{"gpuaas.instance=a":true}}'))).toEqual({
      label: ['gpuaas.instance=a', 'gpuaas.seal'],
    });
  });

  it('let Compose ask for the containers of a project', () => {
    const asked = '{"label":{"com.docker.compose.oneoff=False":true,"com.docker.compose.project=gpuaas-a":true}}';

    expect(JSON.parse(containerFilters(asked))).toEqual({
      label: ['com.docker.compose.oneoff=False', 'com.docker.compose.project=gpuaas-a', 'gpuaas.seal'],
    });
  });

  it('of networks are passed on, and none where none are given', () => {
    expect(networkFilters('{"name":{"gpuaas-a":true}}')).toEqual({ name: ['gpuaas-a'] });
    expect(networkFilters(undefined)).toBeUndefined();
    expect(() => networkFilters('{"type":["builtin"]}')).toThrow(expect.objectContaining({ code: 'policy.refused' }));
  });

  it('of volumes are those of whoever asks, and always ours', () => {
    const asked = '{"label":["com.docker.compose.project=gpuaas-a"],"name":["gpuaas-a.data"]}';

    expect(JSON.parse(volumeFilters(asked))).toEqual({
      name: ['gpuaas-a.data'],
      label: ['com.docker.compose.project=gpuaas-a', 'gpuaas.seal'],
    });
    expect(JSON.parse(volumeFilters(undefined))).toEqual({ label: ['gpuaas.seal'] });
    expect(() => volumeFilters('{"driver":["x"]}')).toThrow(expect.objectContaining({ code: 'policy.refused' }));
  });

  it('force events of containers', () => {
    expect(JSON.parse(eventFilters('{"event":["die"]}'))).toEqual({
      event: ['die'],
      label: ['gpuaas.seal'],
      type: ['container'],
    });
  });

  it.each([
    '[]',
    'null',
    '"x"',
    '{"volume":["x"]}',
    '{"label":["other=1"]}',
    '{"label":["com.docker.stack.namespace=x"]}',
    '{"label":["xcom.docker.compose.project=x"]}',
    '{"label":[1]}',
    '{"label":"gpuaas.instance"}',
    '{"label":["gpuaas.instance\\u0000"]}',
    '{"toString":["x"]}',
    '{"label":[],"label":["x"]}',
  ])('are refused where they are not known: %s', (text) => {
    expect(() => containerFilters(text)).toThrow(expect.objectContaining({ code: 'policy.refused' }));
  });

  it('do not let a client watch networks, images or volumes', () => {
    expect(() => eventFilters('{"type":["network"]}')).toThrow(expect.objectContaining({ code: 'policy.refused' }));
  });
});
