# The one big layer: torch, transformers and what they need. It changes only with requirements/trainer.txt.
#   docker build -f trainer-image/base.Dockerfile -t finetune-trainer-base .
ARG PYTHON=python:3.11-slim-bookworm
FROM ${PYTHON}
COPY requirements/trainer.txt /requirements.txt
# Containers run with a read-only root as another user, so the bytecode is compiled here; the packages carry a few files
# for other versions of Python, which compileall cannot compile and nobody imports.
RUN pip install --no-cache-dir --no-compile --disable-pip-version-check --root-user-action=ignore --no-deps --require-hashes -r /requirements.txt \
 && { python -m compileall -q -j 0 "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" >/dev/null || true; }
