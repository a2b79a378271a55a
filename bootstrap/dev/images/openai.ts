/**
 * `openai`: answers as vLLM does, without a model and without a driver. What it does, and how it is made to fail, is said in
 * `openai.py`. Its user is the one of vLLM's own image, which also runs as anybody else.
 */
import type { LayerRecipe } from './recipe.ts';

export const openai: LayerRecipe = {
  kind: 'layer',
  name: 'openai',
  base: 'python',
  sources: ['openai.ts', 'openai.sh', 'openai.py'],
  script: 'openai.sh',
  files: ['openai.py'],
  changes: [
    'ENV HOME=/home/vllm',
    'USER 2000:0',
    'WORKDIR /home/vllm',
    'EXPOSE 8000/tcp',
    'ENTRYPOINT ["vllm","serve"]',
    'CMD []',
  ],
};
