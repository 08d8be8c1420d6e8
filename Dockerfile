# The image of every pod and machine: Python, Ray and Thornback at the versions of constraints.txt.
# It is built from the root of the repository; docs/deployment.md says how. Make yours of it,
#
#   FROM registry.example.com/thornback:0.1.0-ray2.60.0
#   COPY my_actors my_actors
#
# and name the module in actor_system.actor_modules.

FROM docker.io/library/debian:bookworm-slim AS base
# Debian's own versions: they get its security updates.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --user-group --create-home thornback \
 # KubeRay starts Ray with a login shell, which forgets the PATH of the image.
 && echo "PATH=/opt/venv/bin:\$PATH" > /etc/profile.d/thornback.sh
ENV PATH=/opt/venv/bin:$PATH

FROM base AS built
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
# Dependencies first, for a project without code: they change less often. One of them is an old source
# archive, which PIP_USE_PEP517 has built as newer ones are.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN python3 -m venv /opt/venv \
 && PIP_USE_PEP517=1 pip install --no-cache-dir -c constraints.txt .
COPY . .
RUN pip install --no-cache-dir --no-deps --force-reinstall -c constraints.txt . \
 && pip uninstall --yes pip setuptools

FROM base
LABEL org.opencontainers.image.title="Thornback" \
      org.opencontainers.image.description="A fleet of devices as event-sourced actors on Ray" \
      org.opencontainers.image.version="0.1.0-ray2.60.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=built /opt/venv /opt/venv
WORKDIR /opt/thornback
COPY config config
COPY examples examples
USER 1000:1000
# What is written goes to the home and to /tmp; all else may be read-only. Python then looks for no
# place for its bytecode, and prints at once.
ENV HOME=/home/thornback \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0
EXPOSE 8080 9090
# Clusters bring their own command. Alone, it replays the example and drains.
CMD ["python", "-m", "jobs.run"]
