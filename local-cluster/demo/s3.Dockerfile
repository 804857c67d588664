# A small S3 server (moto) that stands in for a real object store in the demo and in the tests. It keeps everything in memory.
ARG PYTHON=python:3.11-slim-bookworm
FROM ${PYTHON}
RUN pip install --no-cache-dir 'moto[s3,server]==5.2.5'
USER 65532:65532
ENV HOME=/tmp PYTHONUNBUFFERED=1
EXPOSE 5000
ENTRYPOINT ["moto_server", "--host", "0.0.0.0", "--port", "5000"]
