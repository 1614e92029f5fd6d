"""What is wrong with a label selector: an API server would have refused it, a file can hold it."""

from scanner.model.selectors import LabelSelector

_WITH_VALUES = frozenset({"In", "NotIn"})
_WITHOUT_VALUES = frozenset({"Exists", "DoesNotExist"})


def complaint(selector: LabelSelector) -> str:
    """Return why a selector means nothing, empty if it is sound."""
    for requirement in selector.match_expressions or ():
        if requirement.operator not in _WITH_VALUES | _WITHOUT_VALUES:
            return f"unknown operator {requirement.operator!r}"
        if bool(requirement.values) != (requirement.operator in _WITH_VALUES):
            return f"operator {requirement.operator} {'without' if not requirement.values else 'with'} values"
    return ""
