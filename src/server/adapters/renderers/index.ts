/** The renderers by the name that manifests use. A name without a renderer does not compile. */
import type { RendererName } from '../../../manifests/gpuaas/profile-execution.ts';
import type { Renderer } from './renderer.ts';
import { smokeStack } from './smoke-stack.ts';
import { vllmOpenai } from './vllm-openai.ts';

export const renderers: { readonly [R in RendererName]: Renderer } = {
  vllm_openai: vllmOpenai,
  smoke_stack: smokeStack,
};
