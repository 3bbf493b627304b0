# The pipeline in an image: the Python version of envs/mmran.yaml, the packages of envs/hashes.lock, this checkout.
#
#   docker build --tag mmran .
#   docker run --rm --init --gpus all --shm-size 8g --user "$(id -u):$(id -g)" \
#     --volume "$PWD/results:/mmran/results" --volume /data/cheng:/data:ro \
#     mmran mmran run -- snakemake --cores all --config source=/data results=results/cheng
#
# docs/environments.md explains each option.
# Pin the base with --build-arg BASE=python:3.11-slim@sha256:...
ARG BASE=python:3.11-slim
FROM ${BASE}

WORKDIR /mmran

# A layer for the packages alone, so that an edit to the code downloads nothing. torch brings CUDA; the host has the driver.
COPY envs/hashes.lock envs/
RUN pip install --no-cache-dir --require-hashes -r envs/hashes.lock

COPY Snakefile config.yaml pyproject.toml README.md LICENSE ./
COPY envs envs
COPY src src
COPY workflow workflow

# Any user may run it (--user) and owns what it writes into mounted folders. Nobody needs to be root.
RUN pip install --no-cache-dir --no-deps --editable . && \
    ln -s workflow/profiles profiles && \
    useradd --create-home mmran && \
    mkdir results && \
    chmod -R a+rX . && \
    chmod a+rwx . results /home/mmran

# Snakemake asks for the user's name, which a user of the host does not have in here.
ENV HOME=/home/mmran USER=mmran
USER mmran

CMD ["mmran", "--help"]
