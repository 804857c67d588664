# The inference server on ONNX Runtime, without torch. The build context is the repository's root.
#   docker build -f inference-image/onnx.Dockerfile -t finetune-server-onnx .
ARG PYTHON=python:3.11-slim-bookworm
FROM ${PYTHON}
COPY requirements/server-onnx.txt /requirements.txt
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore --no-deps --require-hashes -r /requirements.txt
WORKDIR /app
ENV HOME=/tmp USER=finetune PYTHONPATH=/app PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
COPY api/finetune_api finetune_api
COPY text/finetune_text finetune_text
COPY inference-image/finetune_server finetune_server
RUN python -m compileall -q /app
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["python", "-m", "finetune_server"]
