"""Labelled texts, all made up; `|` splits the beginnings of known tokens, so that no scanner of sources stops there."""

from pathlib import Path

import msgspec

from scanner.cluster.masking import Masker
from scanner.model.credential import masked_in


class Case(msgspec.Struct, frozen=True):
    """A text, where it stands, and whether a person would call it a credential; `held` ones are not for tuning."""

    part: str
    place: str
    name: str
    text: str
    credential: bool


def cases() -> list[Case]:
    """Return every case, its text put together."""
    lines = (Path(__file__).parent / "cases.jsonl").read_bytes().splitlines()
    read = [msgspec.json.decode(line, type=Case) for line in lines]
    return [msgspec.structs.replace(case, text=case.text.replace("|", "")) for case in read]


def is_found(case: Case) -> bool:
    """Tell whether the reader masks something of a case, at its place in a pod or a ConfigMap."""
    masker = Masker()
    match case.place:
        case "configmap":
            masked = masker.config(case.name, case.text)
        case "args":
            made = masker._container({"args": [case.text]})
            masked = str(made["args"])
        case "header":
            masked = str(masker._header({"name": case.name, "value": case.text}))
        case "annotation":
            masked = masker.annotations({case.name: case.text})[case.name]
        case _:
            masked = masker.named(case.name, case.text)
    return any(masked_in(masked))
