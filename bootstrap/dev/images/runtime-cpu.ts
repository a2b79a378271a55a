/**
 * `runtime-cpu`: JupyterLab on the `python` image, the curated image of the CPU profile.
 *
 * The top-level Dockerfile makes the same image for people who have a base image: the same paths, user, port and
 * default command. A change here is a change there.
 */
import type { LayerRecipe } from './recipe.ts';

export const runtimeCpu: LayerRecipe = {
  kind: 'layer',
  name: 'runtime-cpu',
  base: 'python',
  sources: ['runtime-cpu.ts', 'runtime-cpu.sh'],
  script: 'runtime-cpu.sh',
  changes: [
    // Connection files carry keys: they belong in the container, not in the workspace, which outlives it.
    'ENV JUPYTER_RUNTIME_DIR=/tmp/jupyter-runtime',
    // Without it the server looks for its own pages inside the virtual environment.
    'ENV JUPYTERLAB_DIR=/usr/share/jupyter/lab',
    'USER 1000:1000',
    'WORKDIR /workspace',
    'EXPOSE 8888/tcp',
    'CMD ["jupyter-lab","--ip=0.0.0.0","--port=8888","--no-browser","--ServerApp.root_dir=/workspace"]',
  ],
};
