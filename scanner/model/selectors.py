"""Label selectors, as the API server matches them.

Source: k8s.io/apimachinery/pkg/apis/meta/v1, LabelSelectorAsSelector, and pkg/labels/selector.go, Requirement.Matches.
"""

from collections.abc import Mapping

import msgspec


class Requirement(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One entry of matchExpressions; all of a selector's requirements must hold."""

    key: str
    operator: str
    values: tuple[str, ...] | None = None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels satisfy this requirement; an unknown operator is satisfied by nothing.

        `NotIn` and `DoesNotExist` hold where the key is missing.
        """
        match self.operator:
            case "In":
                return self.key in labels and labels[self.key] in (self.values or ())
            case "NotIn":
                return self.key not in labels or labels[self.key] not in (self.values or ())
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels
            case _:
                return False


class LabelSelector(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A selector of objects by their labels. Empty selects everything; what a missing one does is up to its owner."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[Requirement, ...] | None = None

    @property
    def is_empty(self) -> bool:
        """Tell whether it selects everything."""
        return not self.match_labels and not self.match_expressions

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an object with these labels is selected."""
        return all(labels.get(k) == v for k, v in (self.match_labels or {}).items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions or ()
        )
