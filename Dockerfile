# dtk for CI: docker build -t dtk .
FROM python:3.12-slim-bookworm AS build
COPY . /source
RUN python -m venv /opt/dtk && /opt/dtk/bin/pip install --no-cache-dir --disable-pip-version-check /source

FROM python:3.12-slim-bookworm
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git jq openssh-client tini \
    && rm -rf /var/lib/apt/lists/* \
    # A job's clone belongs to another user than this one.
    && git config --system --add safe.directory '*' \
    && useradd --create-home --uid 1000 dtk \
    && install -d -o dtk -g dtk /workspace
COPY --from=build /opt/dtk /opt/dtk
ENV PATH=/opt/dtk/bin:$PATH
USER 1000
WORKDIR /workspace
# The first process: it passes SIGTERM on, so that docker stop cancels the task, and takes in what is left of others.
ENTRYPOINT ["tini", "--"]
CMD ["dtk", "--help"]
