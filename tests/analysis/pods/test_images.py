"""Names of images, and what is below what."""

import pytest

from scanner.analysis.pods.images import images_from_other_registries, repository
from scanner.model.finding import Outcome
from tests.builders import NOW, snapshot


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("shop/cart:4.2", "docker.io/shop/cart"),
        ("index.docker.io/nginx:1", "docker.io/library/nginx"),
        ("localhost/cart", "localhost/cart"),
        ("registry.example.com:5000/cart", "registry.example.com:5000/cart"),
        ("registry.example.com:5000/shop/cart:4.2@sha256:0f", "registry.example.com:5000/shop/cart"),
    ],
)
def test_a_short_name_stands_for_a_full_one(image: str, expected: str) -> None:
    """As the reference library of image names reads them; a port is no tag."""
    assert repository(image) == expected


@pytest.mark.parametrize(
    ("image", "outcome"),
    [
        ("registry.example.com/shop/cart:1", Outcome.PASS),
        ("registry.example.com.evil.example/shop/cart:1", Outcome.FAIL),
        ("quay.io/someone/cart", Outcome.FAIL),
    ],
)
def test_only_trusted_registries_pass_where_nothing_is_named_untrusted(image: str, outcome: Outcome) -> None:
    """A list of trusted registries alone is complete."""
    spec = {"containers": [{"name": "app", "image": image}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "cart", "namespace": "shop"}, "spec": spec}
    answers = images_from_other_registries(snapshot(pod), now=NOW, trusted=["registry.example.com"])
    assert [answer.outcome for answer in answers] == [outcome]
