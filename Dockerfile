# syntax=docker/dockerfile:1
FROM python:3.13-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /src
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PROJECT_ENVIRONMENT=/opt/plimsoll UV_PYTHON_DOWNLOADS=never
# Dependencies first: they change less often than the code.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --no-install-project
COPY README.md LICENSE ./
COPY scanner scanner
COPY policies policies
COPY migrations migrations
COPY examples examples
RUN uv sync --locked --no-dev --no-editable

FROM python:3.13-slim-bookworm
COPY --from=build /opt/plimsoll /opt/plimsoll
ENV PATH=/opt/plimsoll/bin:$PATH PYTHONUNBUFFERED=1 PLIMSOLL_STATE_DIRECTORY=/var/lib/plimsoll
# A number, so that the kubelet can check runAsNonRoot.
RUN install -d -o 10001 -g 10001 /var/lib/plimsoll
USER 10001:10001
VOLUME /var/lib/plimsoll
EXPOSE 8080
ENTRYPOINT ["plimsoll"]
CMD ["serve"]
