# The operator, and the helper pods that it starts: one image for both.
FROM python:3.11-slim AS build
RUN pip install --no-cache-dir "uv>=0.9,<1"
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE ./
# The dependencies are a layer of their own, which an edit of our sources leaves alone.
RUN uv export --quiet --frozen --no-dev --no-emit-project --output-file /tmp/locked.txt \
    && uv pip install --require-hashes --no-deps --compile-bytecode --target /packages --requirements /tmp/locked.txt
COPY dev/sbom.py dev/sbom.py
RUN mkdir /sbom \
    && uv export --quiet --frozen --no-dev --format cyclonedx1.5 --preview-features sbom-export --output-file /tmp/locked.json \
    && python3 dev/sbom.py /packages < /tmp/locked.json > /sbom/sbom.cdx.json
COPY operator operator
RUN uv build --wheel --out-dir /wheel \
    && uv pip install --no-deps --compile-bytecode --target /own /wheel/*.whl

FROM python:3.11-slim
COPY --from=build /packages /usr/local/lib/python3.11/site-packages
COPY --from=build /own /usr/local/lib/python3.11/site-packages
COPY --from=build /sbom /usr/share/modelyard
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["python3", "-m", "modelyard.runtime"]
