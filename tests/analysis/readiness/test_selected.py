"""An index of selectors leaves out nothing that selects."""

from hypothesis import given
from hypothesis import strategies as st

from scanner.analysis.readiness.selected import Selected

_LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"))


@given(required=st.lists(_LABELS), labels=_LABELS)
def test_whatever_selects_is_a_candidate(required: list[dict[str, str]], labels: dict[str, str]) -> None:
    """In the order in which it was given, each once."""
    index = Selected([(wanted, number) for number, wanted in enumerate(required)])
    found = index.candidates(labels)
    trying = [number for number, wanted in enumerate(required) if wanted.items() <= labels.items()]
    assert [number for number in found if required[number].items() <= labels.items()] == trying
    assert found == sorted(set(found))
