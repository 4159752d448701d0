# The service. What it is built from is named by hash in the lock; it runs as a user of its own and writes to /data alone.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
WORKDIR /build
RUN python -m venv --without-pip /opt/propusk
COPY requirements.lock ./
RUN pip --python /opt/propusk install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip --python /opt/propusk install --no-cache-dir --no-deps --no-build-isolation .

FROM python:${PYTHON}-slim
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin propusk \
 && install --directory --owner propusk --group propusk --mode 0700 /data
COPY --from=build /opt/propusk /opt/propusk
# The last two put the heap on huge pages: docs/decisions/0021-huge-pages.md.
ENV PATH=/opt/propusk/bin:$PATH PROPUSK_DATA_DIR=/data GLIBC_TUNABLES=glibc.malloc.hugetlb=1 PYTHONMALLOC=malloc
# A propusk.toml is read from here, if one is mounted.
WORKDIR /etc/propusk
USER 10001:10001
VOLUME /data
EXPOSE 8000
# Whether this process answers. Whether its database does, /readyz says; a restart would not help there.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["propusk"]
CMD ["serve", "--host", "0.0.0.0"]
