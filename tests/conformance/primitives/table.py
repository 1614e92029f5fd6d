"""The table of primitives and their executions, positive and negative, as a page for people."""

from tests.conformance.primitives.execute import Primitive, all_primitives, cases_of

_PAGE = """\
# Ways to gain by RBAC, executed

A *primitive* is a right, or several together, whose holder gains something. Each stands here with the policy that names
it, the severity of the finding in this case, and how it was tried: a real kube-apiserver v1.37 gets a service account
with just these rights, and the account's own token makes the requests. Where the API server lets them through, the
policy must fail for that identity. Each *near miss* looks alike, is refused with 403 or gives nothing, and the policy
must not fail for it. All of it is data in `tests/conformance/primitives/`, from which this table is made.

{primitives} primitives, {executions} executions: {primitives} of a primitive, {negatives} of near misses. A dagger
marks a gain that takes more than the API server; the note says what, and what was shown instead.

What a rule limited to `resourceNames` yields depends on the names. It counts where a name is known to yield as much as
all (`system:masters`, `cluster-admin`, `coredns`, `aws-auth`), where any name yields one identity
(`rbac/assume-one-identity`), and where the holder of a role may rewrite that very role. It does not count for single
Secrets, ConfigMaps and trust bundles: what is in them, no scan can tell. `create` and `deletecollection` carry no name,
so that a rule for them that is limited to names grants nothing, except on subresources like `serviceaccounts/token`.

| Rows | Primitive | Yields | Severity | Policy | Shown | Near misses, refused |
|---|---|---|---|---|---|---|
{rows}

{notes}
"""


def page() -> str:
    """Write the page."""
    primitives = all_primitives()
    notes = list(dict.fromkeys(p.not_executable for p in primitives if p.not_executable))
    cases = cases_of(primitives)
    return (
        _PAGE.format(
            primitives=len(primitives),
            executions=len(cases),
            negatives=len(cases) - len(primitives),
            rows="\n".join(_row(primitive, notes) for primitive in primitives),
            notes="\n".join(f"†{number} {note}.  " for number, note in enumerate(notes, 1)),
        ).rstrip(" \n")
        + "\n"
    )


def _row(primitive: Primitive, notes: list[str]) -> str:
    shown = f"yes †{notes.index(primitive.not_executable) + 1}" if primitive.not_executable else "yes"
    near_misses = "; ".join(near_miss.why for near_miss in primitive.near_misses)
    cells = (
        primitive.rows,
        primitive.name,
        str(primitive.gains),
        str(primitive.severity),
        f"`{primitive.policy}`",
        shown,
        f"{len(primitive.near_misses)}: {near_misses}",
    )
    return f"| {' | '.join(cell.replace('|', '/').replace('*', chr(92) + '*') for cell in cells)} |"
