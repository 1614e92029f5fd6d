"""Rules minus requests: what is left of a rule when it must not allow something any more.

A rule is the product of its words: every verb with every group, resource and name. A word is taken as it stands, so
that nothing is ever expanded: taking `list secrets` from `get list` on `*` leaves `get` on `*`, since nobody can name
all that `*` means. What is left is therefore never wider, and as little narrower as can be said exactly.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from scanner.analysis.rbac.matching import ALL, path_matches, resource_matches
from scanner.analysis.rbac.requests import Request
from scanner.model.rbac import Rule

#: One verb, group, resource and name (empty: all names) of a rule; or one verb and path.
_Words = tuple[str, ...]
#: The words of one dimension that are meant, of those that a rule has.
_Lists = tuple[tuple[str, ...], ...]


def without(rule: Rule, requests: Iterable[Request]) -> tuple[Rule, ...]:
    """Return what is left of a rule without all that allows one of these requests; the rule itself if nothing does."""
    asked = list(requests)
    return _left(
        rule,
        lambda lists: (_meant(lists, request) for request in asked if request.path is None),
        lambda lists: (_meant_paths(lists, request) for request in asked if request.path is not None),
    )


def without_wildcards(rule: Rule) -> tuple[Rule, ...]:
    """Return what a rule says without `*`: the words that stand beside it. Of paths only `*` alone is one."""
    return _left(
        rule,
        lambda lists: (
            tuple((ALL,) if n == place else words for n, words in enumerate(lists))
            for place in range(3)  # verbs, groups and resources; no name is a wildcard
            if ALL in lists[place]
        ),
        lambda lists: [(lists[0], (ALL,))] if ALL in lists[1] else [],
    )


def _left(
    rule: Rule, meant: Callable[[_Lists], Iterable[_Lists]], meant_paths: Callable[[_Lists], Iterable[_Lists]]
) -> tuple[Rule, ...]:
    """Take products of words from those of a rule, on resources and on paths, and write down what is left."""
    on_resources = (rule.verbs, rule.api_groups or (), rule.resources or (), rule.resource_names or ("",))
    on_paths = (rule.verbs, rule.non_resource_urls or ())
    all_words, all_paths = _product(on_resources), _product(on_paths)
    words = _minus(all_words, meant(on_resources))
    paths = _minus(all_paths, meant_paths(on_paths))
    if (len(words), len(paths)) == (len(all_words), len(all_paths)):
        return (rule,)
    return (
        *(
            Rule(verbs, groups, resources, None if names == ("",) else names)
            for verbs, groups, resources, names in _boxes(words, len(on_resources))
        ),
        *(Rule(verbs, non_resource_urls=urls) for verbs, urls in _boxes(paths, len(on_paths))),
    )


def _meant(lists: _Lists, request: Request) -> _Lists:
    verbs, groups, resources, names = lists
    return (
        tuple(word for word in verbs if word in {ALL, request.verb}),
        tuple(word for word in groups if word in {ALL, request.group}),
        tuple(w for w in resources if resource_matches(Rule(resources=(w,)), request.resource, request.subresource)),
        tuple(word for word in names if word in {"", request.name}),
    )


def _meant_paths(lists: _Lists, request: Request) -> _Lists:
    verbs, urls = lists
    path = request.path or ""
    return (
        tuple(word for word in verbs if word in {ALL, request.verb}),
        tuple(url for url in urls if path_matches(Rule(non_resource_urls=(url,)), path)),
    )


def _product(lists: Sequence[tuple[str, ...]]) -> dict[_Words, None]:
    """Return every combination of words, in their order, each once."""
    combined: dict[_Words, None] = {(): None}
    for words in lists:
        combined = {(*before, word): None for before in combined for word in words}
    return combined


def _minus(words: dict[_Words, None], taken: Iterable[_Lists]) -> list[_Words]:
    gone = {combination for lists in taken for combination in _product(lists)}
    return [combination for combination in words if combination not in gone]


def _boxes(words: Sequence[_Words], depth: int) -> list[_Lists]:
    """Write combinations as few products: verbs that go with the same resources share one, or the other way round."""
    by_verbs = list(_factored(words, depth))
    by_resources = [(box[-1], *box[:-1]) for box in _factored([(*w[1:], w[0]) for w in words], depth)]
    return min(by_verbs, by_resources, key=len)


def _factored(words: Iterable[_Words], depth: int) -> Iterator[_Lists]:
    """Write combinations as products: first words that are followed by the same share one."""
    if depth == 0:
        yield ()
        return
    tails: dict[str, list[_Words]] = {}
    for first, *rest in words:
        tails.setdefault(first, []).append(tuple(rest))
    by_tail: dict[tuple[_Words, ...], list[str]] = {}
    for first, rests in tails.items():
        by_tail.setdefault(tuple(rests), []).append(first)
    for common, firsts in by_tail.items():
        for box in _factored(common, depth - 1):
            yield (tuple(firsts), *box)
