# Two images from one installation: `app` for gateway, migration and operators; `worker`, a runner
# host. The build needs only the package index. To use another base image, or a digest:
# --build-arg PYTHON_IMAGE=…. To use another index: --build-arg PIP_INDEX_URL=…
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ARG PIP_INDEX_URL
WORKDIR /build
RUN python3 -m venv --without-pip /opt/run-cancel
# The libraries come before the code, so that a change of code does not download them again.
COPY pyproject.toml constraints.txt deploy/docker/requirements.py ./
RUN python3 requirements.py >requirements.txt \
    && python3 -m pip --python /opt/run-cancel/bin/python3 install --no-cache-dir --no-input \
        --disable-pip-version-check --only-binary :all: -c constraints.txt -r requirements.txt
COPY LICENSE README.md ./
COPY shared shared
COPY gateway gateway
COPY worker worker
# The console shows it: worker/console/runbook/runbook.md is a link to it.
COPY docs/runbook.md docs/runbook.md
RUN python3 -m pip --python /opt/run-cancel/bin/python3 install --no-cache-dir --no-input \
        --disable-pip-version-check --no-deps .

FROM ${PYTHON_IMAGE} AS app
# /usr/local/bin goes first: the worker's image has its own cancel-exec there.
ENV PATH=/usr/local/bin:/opt/run-cancel/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
RUN useradd --system --uid 10001 --shell /usr/sbin/nologin run-cancel
COPY --from=build /opt/run-cancel /opt/run-cancel
USER run-cancel
CMD ["cancel-gateway", "serve"]

FROM app AS worker
# The worker runs as root, so that jobs, which run as `runner`, cannot write to their cgroups.
USER root
RUN useradd --uid 10002 --create-home runner && mkdir /run/cgroup2
COPY --chmod=0755 deploy/docker/worker-entrypoint deploy/docker/cancel-exec /usr/local/bin/
WORKDIR /home/runner
# Orphans of jobs become children of process 1, which must reap them.
ENTRYPOINT ["dumb-init", "--single-child", "--", "worker-entrypoint"]
CMD ["cancel-worker", "serve"]
