"""The real services that the tests stand on answer."""

import json
import ssl
import urllib.request

import psycopg
import pytest

from tests.services import ControlPlane


@pytest.mark.control_plane
def test_the_control_plane_is_the_release_that_the_go_module_names(control_plane: ControlPlane) -> None:
    """The API server says its version."""
    request = urllib.request.Request(  # noqa: S310 - https, our own address
        control_plane.url + "/version", headers={"Authorization": f"Bearer {control_plane.token}"}
    )
    context = ssl.create_default_context(cafile=control_plane.ca_file)
    with urllib.request.urlopen(request, context=context) as answer:  # noqa: S310 - as above
        assert json.load(answer)["gitVersion"] == "v1.37.2"


@pytest.mark.postgres
def test_every_test_gets_an_empty_database(postgres_url: str) -> None:
    """Nothing of another test is in it."""
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
