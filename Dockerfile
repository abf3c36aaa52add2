# bistill on a CPU. Checked by hadolint, not built.
#
#   docker build -t bistill .
#   docker run --rm -v "$PWD:/project" --user "$(id -u):$(id -g)" bistill teacher --data_version VERSION --output_dir models/teacher
FROM python:3.11-slim-bookworm

COPY pyproject.toml constraints.txt README.md LICENSE /source/
COPY bistill /source/bistill
WORKDIR /source
# torch first, and its build for CPUs: no other package then pulls a build of its own choice.
RUN python -m pip install --no-cache-dir -c constraints.txt \
        --extra-index-url https://download.pytorch.org/whl/cpu torch \
    && python -m pip install --no-cache-dir -c constraints.txt '.[excel,korean,monitor,ray]'

# Any user may run it: what is cached lies in the mounted folder, and stays when the container goes.
ENV BISTILL_CACHE=/project/.cache/bistill HF_HOME=/project/.cache/huggingface MPLCONFIGDIR=/tmp/matplotlib
RUN useradd --create-home --uid 10001 bistill && install -d -o bistill /project
USER 10001
WORKDIR /project
ENTRYPOINT ["bistill"]
CMD ["--help"]
