"""Policies as pages that people read: one, or the whole reference, in Markdown; or as plain text for a terminal."""

from collections.abc import Iterable
from itertools import groupby
from textwrap import fill, indent

from scanner.model.policy import Policy

#: Columns of a terminal that everyone has.
WIDTH = 100


def policy_text(policy: Policy) -> str:
    """Return everything that a policy says, for a terminal."""
    question = f"forbid: {policy.forbid}" if policy.forbid else f"ask: {policy.ask} {_arguments(policy)}".rstrip()
    frameworks = "\n".join(f"  {name}: {', '.join(controls)}" for name, controls in policy.frameworks.items())
    parts = [
        f"{policy.title}\n{policy.id}  severity {policy.severity}, confidence {policy.confidence}",
        f"WHY\n{_indented(policy.rationale)}",
        f"WHAT TO DO\n{_indented(policy.remediation)}",
        f"FIX\n{indent(_fix_text(policy), '  ')}" if policy.fix or policy.decision else "",
        f"HOW IT IS JUDGED\n{indent(_subject(policy) + question.strip(), '  ')}",
        f"FRAMEWORKS\n{frameworks}" if frameworks else "",
        "SOURCES\n" + "\n".join(f"  {source}" for source in policy.sources),
    ]
    return "\n\n".join(part for part in parts if part)


def described(policy: Policy) -> dict[str, object]:
    """Return a policy as JSON values, in the words of its file."""
    return {
        "id": policy.id,
        "title": policy.title,
        "severity": policy.severity,
        "confidence": policy.confidence,
        "rationale": policy.rationale.strip(),
        "remediation": policy.remediation.strip(),
        "frameworks": policy.frameworks,
        **({"chapter": policy.chapter} if policy.chapter else {}),
        "sources": policy.sources,
        **({"for": policy.subject, "forbid": policy.forbid} if policy.forbid else {}),
        **({"ask": policy.ask, "with": policy.arguments} if policy.ask else {}),
        **({"fix": policy.fix} if policy.fix else {}),
        **({"decision": policy.decision} if policy.decision else {}),
        **({"template": policy.template} if policy.template else {}),
    }


def policy_reference(policies: Iterable[Policy]) -> str:
    """Return the reference of all policies in Markdown, by area."""
    ordered = sorted(policies, key=lambda policy: policy.id)
    pages = ["# Policies\n\nMade by `plimsoll policies docs` from `policies/`; edit the policies, not this page.\n"]
    for area, members in groupby(ordered, key=lambda policy: policy.area):
        pages.append(f"## {area}\n")
        pages += [_markdown(policy) for policy in members]
    return "\n".join(pages)


def _markdown(policy: Policy) -> str:
    frameworks = "; ".join(f"{name} {', '.join(controls)}" for name, controls in policy.frameworks.items())
    judged = (
        f"```cel\n{policy.forbid.strip()}\n```"
        if policy.forbid
        else f"Asks `{policy.ask}` {_arguments(policy)}".rstrip()
    )
    lines = [
        f"### {policy.id}\n",
        f"**{policy.title}** · {policy.severity} · {policy.confidence}\n",
        f"{policy.rationale.strip()}\n",
        f"*What to do:* {policy.remediation.strip()}\n",
        f"*How it is judged:* {_subject(policy)}\n\n{judged}\n" if policy.forbid else f"*How it is judged:* {judged}\n",
        _fix(policy),
        f"*Frameworks:* {frameworks}\n" if frameworks else "",
        f"*Chapter of the readiness report:* {policy.chapter.heading}\n" if policy.chapter else "",
        "*Sources:* " + ", ".join(f"<{source}>" for source in policy.sources) + "\n",
    ]
    return "\n".join(line for line in lines if line)


def _fix_text(policy: Policy) -> str:
    """Say which fields get which values, or what is to be decided."""
    if policy.fix:
        return "\n".join(f"{place}: {' '.join(str(value).split())}" for place, value in policy.fix.items())
    return f"A person must decide {policy.decision}." + (f"\n\n{policy.template}" if policy.template else "")


def _fix(policy: Policy) -> str:
    if policy.fix:
        return f"*Fix:*\n\n```\n{_fix_text(policy)}\n```\n"
    template = f"\n```yaml\n{policy.template}\n```\n" if policy.template else ""
    return f"*Fix:* a person must decide {policy.decision}.\n{template}" if policy.decision else ""


def _subject(policy: Policy) -> str:
    if not policy.forbid:
        return ""
    every = {"init", "sidecar", "regular", "ephemeral"} == set(policy.container_roles)
    roles = "" if policy.subject != "container" or every else f" ({', '.join(policy.container_roles)})"
    return f"for each {policy.subject}{roles}, fails if\n"


def _arguments(policy: Policy) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in policy.arguments.items())


def _indented(text: str) -> str:
    return fill(" ".join(text.split()), WIDTH, initial_indent="  ", subsequent_indent="  ")
