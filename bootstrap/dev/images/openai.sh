# Runs as root in a container of the base image: the program, and the home of its user.
set -eu

install -m 0755 /mnt/openai.py /usr/local/bin/vllm
install -d -m 0770 -o 2000 -g 0 /home/vllm
