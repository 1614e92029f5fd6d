"""The lists of other scanners' controls are sound: every policy exists, every gap has a reason, nothing is twice."""

import pytest

from docs.coverage import Peer, peers
from scanner.policy.load import builtin_policies_root, load_policies

PEERS = peers()
#: Controls by scanner: whoever takes one away says so here.
COUNTS = {
    "Checkov": 60,
    "KubeLinter": 90,
    "kube-score": 21,
    "Kubescape": 148,
    "Kyverno pod security": 18,
    "Polaris": 55,
    "Trivy": 75,
}


def test_every_scanner_is_there() -> None:
    """Seven of them, each with all of its controls."""
    assert {peer.name: len(peer.controls) for peer in PEERS} == COUNTS


@pytest.mark.parametrize("peer", PEERS, ids=[peer.name for peer in PEERS])
def test_a_list_says_how_long_it_is(peer: Peer) -> None:
    """The count that it states is that of its controls."""
    assert peer.count == len(peer.controls)


@pytest.mark.parametrize("peer", PEERS, ids=[peer.name for peer in PEERS])
def test_every_policy_named_exists(peer: Peer) -> None:
    """No control is mapped to a policy that is not there."""
    known = {str(policy.id) for policy in load_policies(builtin_policies_root())}
    named = {policy for ours in peer.controls.values() if not isinstance(ours, str) for policy in ours}
    assert named - known == set()


@pytest.mark.parametrize("peer", PEERS, ids=[peer.name for peer in PEERS])
def test_every_control_has_a_policy_or_a_reason(peer: Peer) -> None:
    """A list of no policies, or an empty reason, says nothing."""
    assert [
        control for control, ours in peer.controls.items() if not (ours.strip() if isinstance(ours, str) else ours)
    ] == []
