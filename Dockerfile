# Build with a compiler, run without one, as an ordinary user.
#   docker build -t prenatal-cds .
# To look at it, on this machine only, anyone on it may call:
#   docker run --rm -p 127.0.0.1:8000:8000 -e PRENATAL_CDS_ALLOW_ANONYMOUS=true prenatal-cds
# For EHRs, with the trust file of docs/client-trust.md; without either variable it does not start:
#   docker run -p 8000:8000 -v ./trust:/etc/prenatal-cds:ro -v prenatal-cds-state:/var/lib/prenatal-cds \
#     -e PRENATAL_CDS_TRUST_FILE=/etc/prenatal-cds/trust.yaml -e PRENATAL_CDS_PUBLIC_URL=https://cds.example.org \
#     prenatal-cds

FROM python:3.13-slim AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY requirements/ requirements/
COPY cds/ cds/
COPY rules/ rules/
RUN sh requirements/install.sh /opt/venv runtime python3
# What only builds does not travel (build.txt less runtime.txt; a test holds this list).
RUN /opt/venv/bin/python -m pip uninstall --quiet --yes \
    hatchling packaging pathspec pluggy setuptools tomlkit trove-classifiers pip

FROM python:3.13-slim
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# What outlives a container: feedback, tokens seen.
RUN install -d -m 0700 -o 10001 -g 10001 /var/lib/prenatal-cds
ENV PRENATAL_CDS_STATE_DIR=/var/lib/prenatal-cds
VOLUME /var/lib/prenatal-cds
WORKDIR /srv
USER 10001:10001
EXPOSE 8000
# Past any proxy of the environment: it would not reach this address. For another PRENATAL_CDS_PORT set another check.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.build_opener(urllib.request.ProxyHandler({})).open('http://127.0.0.1:8000/health', timeout=4).close()"]
CMD ["prenatal-cds", "serve", "--host", "0.0.0.0"]
