"""A few calls to the test control plane, as its administrator."""

import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

from tests.services import ControlPlane

RBAC_PATH = "/apis/rbac.authorization.k8s.io/v1"


class Client:
    """Calls the API server over connections that stay open; may be used by several threads."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._http = httpx.Client(
            base_url=control_plane.url,
            verify=ssl.create_default_context(cafile=control_plane.ca_file),
            headers={"Authorization": f"Bearer {control_plane.token}"},
            timeout=30,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        """Open it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its connections."""
        self._http.close()

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, user: str = "") -> Any:
        """Make one request, as a user if named, and return the decoded answer.

        Raises `AssertionError` if it is refused.
        """
        return self._call(method, path, body, {"Impersonate-User": user} if user else {})

    def apply(self, path: str, body: Mapping[str, Any]) -> Any:
        """Apply one object as a dry run and return what it would become."""
        query = "?dryRun=All&fieldManager=test&force=true&fieldValidation=Strict"
        return self._call("PATCH", path + query, body, {"Content-Type": "application/apply-patch+yaml"})

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Any:
        answer = self._http.request(
            method,
            path,
            content=None if body is None else msgspec.json.encode(body),
            headers={"Content-Type": "application/json"} | dict(headers),
        )
        if answer.is_error:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
        return msgspec.json.decode(answer.content)
