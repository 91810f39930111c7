# One image for web, workers, scheduler and migrations; docker-compose.yml says which is which.
FROM python:3.11-slim-bookworm

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    HOME=/tmp \
    OMP_NUM_THREADS=1 \
    OMP_WAIT_POLICY=PASSIVE \
    MUGSEARCH_VAR=/var/lib/mugsearch

RUN groupadd --gid 10001 mugsearch \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin mugsearch \
    && install --directory --owner mugsearch --group mugsearch --mode 0700 /var/lib/mugsearch

WORKDIR /srv/mugsearch

# Wheels only: nothing is compiled, so the image needs no compiler. Compiled to bytecode here, because the file system
# is read-only later.
COPY requirements.txt .
RUN pip install --quiet --require-hashes --no-deps --only-binary=:all: --compile -r requirements.txt

COPY manage.py ./
COPY mugsearch ./mugsearch
COPY reviews ./reviews
RUN python -m compileall -q manage.py mugsearch reviews

USER 10001:10001
VOLUME /var/lib/mugsearch
EXPOSE 8000

# Web's; docker-compose.yml gives the workers their own. The host name is one that ALLOWED_HOSTS has.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(u.Request('http://127.0.0.1:8000/healthz', headers={'Host': os.environ['ALLOWED_HOSTS'].split(',')[0]}), timeout=4)"]

CMD ["python", "-m", "gunicorn", "mugsearch.wsgi:application", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--workers", "2", "--threads", "4", "--no-control-socket", "--worker-tmp-dir", "/dev/shm", "--graceful-timeout", "8", "--timeout", "60"]
