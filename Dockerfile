# The curated image of the CPU profile: JupyterLab for an arbitrary user.
#
# For people who have a base image at hand; a machine without one makes the same image from Debian's packages
# (bootstrap/dev/images/runtime-cpu.ts). Both keep one contract, and a change here is a change there:
#   /opt/venv     a virtual environment whose `python` comes first, writable for everybody, which sees the base's
#                 packages
#   /workspace    working folder and HOME; everything that shall last is mounted here
#   8888          JupyterLab, the default command; its token comes as JUPYTER_TOKEN or JUPYTER_TOKEN_FILE
#
#   docker build -t REGISTRY/REPOSITORY:TAG --build-arg BASE=docker.io/library/python:3.13-slim@sha256:… - < Dockerfile
ARG BASE=docker.io/library/python:3.13-slim
FROM ${BASE}

USER 0:0
ARG JUPYTERLAB=jupyterlab~=4.4
# For those who build behind an index of their own; nothing of it stays in the image.
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
RUN python3 -m pip install --no-cache-dir -- "${JUPYTERLAB}" ipykernel \
 && python3 -m venv --system-site-packages /opt/venv

ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    VIRTUAL_ENV=/opt/venv \
    PYTHONNOUSERSITE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    LANG=C.UTF-8 \
    JUPYTERLAB_DIR=/usr/local/share/jupyter/lab \
    JUPYTER_RUNTIME_DIR=/tmp/jupyter-runtime

# The program first on PATH and the kernel both run in the virtual environment, so that notebooks see what is installed
# there. No program of the image may lend its owner's rights.
RUN printf '%s\n' '#!/opt/venv/bin/python' 'import sys' '' 'from jupyterlab.labapp import main' '' 'sys.exit(main())' \
      > /opt/venv/bin/jupyter-lab \
 && chmod 0777 /opt/venv/bin/jupyter-lab \
 && python -m ipykernel install --prefix=/opt/venv --name=python3 --display-name='Python 3' \
 && chgrp -R 0 /opt/venv && chmod -R a+rwX /opt/venv && find /opt/venv -type d -exec chmod g+s {} + \
 && mkdir -p /workspace && chgrp 0 /workspace && chmod 2777 /workspace \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +

ENV HOME=/workspace
WORKDIR /workspace
USER 1000:1000
EXPOSE 8888
CMD ["jupyter-lab", "--ip=0.0.0.0", "--port=8888", "--no-browser", "--ServerApp.root_dir=/workspace"]
