"""Policy files → `Policy` values; every complaint names file, line and field."""

import fnmatch
import importlib.resources
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NoReturn

import yaml

import scanner
from scanner.errors import PolicyError
from scanner.model.policy import Chapter, Confidence, Policy, PolicyId, Severity
from scanner.model.workload import ContainerRole
from scanner.policy.cel import compile_expression
from scanner.policy.edits import edit_of, fix_variables
from scanner.policy.paths import steps_of
from scanner.policy.questions import QUESTIONS
from scanner.policy.subjects import CONTAINER, WORKLOAD, kind_of, variables_of

_POLICY_FILE = "policy.yaml"
_REQUIRED = ("title", "severity", "confidence", "rationale", "remediation", "frameworks", "sources")
_OF_CEL = ("for", "forbid", "message", "path", "containers")
_OF_QUESTION = ("ask", "with")
_OF_FIX = ("fix", "decision", "template")
_KNOWN = frozenset((*_REQUIRED, *_OF_CEL, *_OF_QUESTION, *_OF_FIX, "formerly", "chapter"))

#: Chapters of the readiness report by area, for policies that name none themselves.
_CHAPTERS: Mapping[str, Chapter] = {
    "pods": Chapter.SECURITY,
    "network": Chapter.SECURITY,
    "secrets": Chapter.SECURITY,
    "platform": Chapter.OPERATIONS,
}


def builtin_policies_root() -> Traversable:
    """Return the folder of the policies that come with the product: in the installed package, or in the source tree."""
    packaged = importlib.resources.files(scanner) / "_data" / "policies"
    return packaged if packaged.is_dir() else Path(scanner.__file__).parent.parent / "policies"


def load_policies(root: Traversable, *, only: Sequence[str] = ("*",), skip: Sequence[str] = ()) -> tuple[Policy, ...]:
    """Read the policies of a folder `<area>/<name>/policy.yaml`, sorted by id.

    `only` and `skip` are globs on ids, past ids included, so that `pods/*` means an area. Raises `PolicyError` for the
    first thing wrong in any file, and for a glob of `only` that names nothing.
    """
    policies = tuple(load_policy(folder / _POLICY_FILE, PolicyId(name)) for name, folder in policy_folders(root))
    _check_ids(policies)
    for pattern in only:
        if not any(_is_named(policy, [pattern]) for policy in policies):
            raise PolicyError(f"no policy is named {pattern!r}; `plimsoll policies list` shows them")
    return tuple(p for p in policies if _is_named(p, only) and not _is_named(p, skip))


def policy_folders(root: Traversable) -> Iterator[tuple[str, Traversable]]:
    """Yield id and folder of every policy below a root, sorted by id."""
    for area in sorted((a for a in root.iterdir() if a.is_dir()), key=lambda a: a.name):
        for folder in sorted((f for f in area.iterdir() if f.is_dir()), key=lambda f: f.name):
            if (folder / _POLICY_FILE).is_file():
                yield f"{area.name}/{folder.name}", folder


def check_fixtures(root: Traversable) -> None:
    """Raise `PolicyError` for a policy without a passing, a failing fixture and `expected.json`."""
    for name, folder in policy_folders(root):
        files = [f.name for f in folder.iterdir()]
        for pattern in ("pass*.yaml", "fail*.yaml", "expected.json"):
            if not fnmatch.filter(files, pattern):
                raise PolicyError(f"{name}: no {pattern} beside {_POLICY_FILE}")


def load_policy(file: Traversable, policy_id: PolicyId) -> Policy:
    """Read one policy file."""
    document = _Document.read(file)
    for key in document.fields:
        if key not in _KNOWN:
            document.refuse(key, f"unknown key; known are {', '.join(sorted(_KNOWN))}")
    for key in _REQUIRED:
        if key not in document.fields:
            raise PolicyError(f"{document.name}:1: {key}: missing")
    is_cel = "forbid" in document.fields
    if is_cel == ("ask" in document.fields):
        raise PolicyError(f"{document.name}:1: exactly one of forbid and ask is needed")
    policy = Policy(
        id=policy_id,
        title=document.text("title"),
        severity=Severity(document.choice("severity", tuple(Severity))),
        confidence=Confidence(document.choice("confidence", tuple(Confidence))),
        rationale=document.text("rationale"),
        remediation=document.text("remediation"),
        frameworks={
            framework: document.texts("frameworks", controls, f"frameworks.{framework}")
            for framework, controls in document.mapping("frameworks").items()
        },
        sources=document.texts("sources"),
        formerly=tuple(PolicyId(i) for i in document.texts("formerly")) if "formerly" in document.fields else (),
        chapter=_chapter(document, policy_id),
        **(_cel_fields(document) if is_cel else _question_fields(document)),
        **_fix_fields(document),
    )
    if not policy.frameworks:
        document.refuse("frameworks", "empty")
    return policy


def _chapter(document: "_Document", policy_id: PolicyId) -> Chapter | None:
    """Read the chapter; only policies of the area `readiness` must name one."""
    area = policy_id.partition("/")[0]
    if "chapter" in document.fields:
        return Chapter(document.choice("chapter", tuple(Chapter)))
    if area == "readiness":
        raise PolicyError(f"{document.name}:1: chapter: missing; one of {', '.join(Chapter)}")
    return _CHAPTERS.get(area)


def _cel_fields(document: "_Document") -> dict[str, Any]:
    document.refuse_any(_OF_QUESTION, "goes with ask, not with forbid")
    subject = document.text("for")
    if subject not in {CONTAINER, WORKLOAD} and kind_of(subject) is None:
        document.refuse(
            "for", f"{subject!r} is neither container, workload nor a kind that a scan reads, as Kind.group"
        )
    for key in ("forbid", "message"):
        if key in document.fields:
            try:
                compile_expression(document.text(key), variables_of(subject))
            except PolicyError as error:
                document.refuse(key, str(error))
    return {
        "subject": subject,
        "forbid": document.text("forbid"),
        "message": document.text("message") if "message" in document.fields else "",
        "field_path": _field_path(document),
        "container_roles": _container_roles(document, subject),
    }


def _fix_fields(document: "_Document") -> dict[str, Any]:
    """Read what ends a finding: values for fields, or what a person must decide, with a template."""
    if "fix" in document.fields:
        document.refuse_any(("decision", "template"), "goes without fix: what needs a decision has no patch")
        fix = document.mapping("fix")
        variables = fix_variables(document.text("for") if "for" in document.fields else "")
        for place, value in fix.items():
            try:
                edit_of(place, value, variables)
            except PolicyError as error:
                document.refuse("fix", str(error))
        if not fix:
            document.refuse("fix", "empty")
        return {"fix": fix}
    if "template" in document.fields and "decision" not in document.fields:
        document.refuse("template", "goes with decision")
    return {key: document.text(key) for key in ("decision", "template") if key in document.fields}


def _field_path(document: "_Document") -> str:
    if "path" not in document.fields:
        return ""
    path = document.text("path")
    try:
        steps_of(path)
    except ValueError as error:
        document.refuse("path", str(error))
    return path


def _container_roles(document: "_Document", subject: str) -> tuple[str, ...]:
    if "containers" not in document.fields:
        return tuple(ContainerRole)
    if subject != CONTAINER:
        document.refuse("containers", "goes with `for: container` only")
    roles = document.texts("containers")
    for role in roles:
        if role not in tuple(ContainerRole):
            document.refuse("containers", f"{role!r} is not one of {', '.join(ContainerRole)}")
    return roles


def _question_fields(document: "_Document") -> dict[str, Any]:
    document.refuse_any(_OF_CEL, "goes with forbid, not with ask")
    name = document.text("ask")
    if name not in QUESTIONS:
        document.refuse("ask", f"no question is named {name!r}; questions are {', '.join(sorted(QUESTIONS))}")
    arguments = document.mapping("with") if "with" in document.fields else {}
    signature = inspect.signature(QUESTIONS[name].ask)
    for key in arguments:
        if key in {"snapshot", "now"} or key not in signature.parameters:
            document.refuse("with", f"question {name} takes no argument {key!r}")
    try:
        signature.bind(None, now=None, **arguments)
    except TypeError as error:
        document.refuse("with" if "with" in document.fields else "ask", f"question {name}: {error}")
    return {"ask": name, "arguments": arguments}


def _check_ids(policies: Sequence[Policy]) -> None:
    """Refuse an id that two policies have or had: findings of both would be one."""
    seen: dict[str, PolicyId] = {}
    for policy in policies:
        for name in (policy.id, *policy.formerly):
            if name in seen:
                raise PolicyError(f"{policy.id}: the id {name!r} already belongs to {seen[name]}")
            seen[name] = policy.id


def _is_named(policy: Policy, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in (policy.id, *policy.formerly) for pattern in patterns)


@dataclass(frozen=True)
class _Document:
    """A YAML mapping that remembers the line of each key."""

    name: str
    fields: Mapping[str, Any]
    lines: Mapping[str, int]

    @classmethod
    def read(cls, file: Traversable) -> "_Document":
        """Parse a file; duplicate keys and anything but a mapping are refused."""
        name = str(file)
        loader = yaml.CSafeLoader(file.read_text(encoding="utf-8"))
        try:
            root = loader.get_single_node()
            if not isinstance(root, yaml.MappingNode):
                raise PolicyError(f"{name}:1: a policy is a mapping of keys to values")
            fields: dict[str, Any] = {}
            lines: dict[str, int] = {}
            for key_node, value_node in root.value:
                key, line = str(key_node.value), key_node.start_mark.line + 1
                if key in fields:
                    raise PolicyError(f"{name}:{line}: {key}: stands there twice, first in line {lines[key]}")
                fields[key], lines[key] = loader.construct_object(value_node, deep=True), line
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise PolicyError(f"{name}:{line}: {error.problem}") from error
        finally:
            loader.dispose()
        return cls(name, fields, lines)

    def refuse(self, key: str, why: str) -> NoReturn:
        """Complain about a field."""
        raise PolicyError(f"{self.name}:{self.lines[key]}: {key}: {why}")

    def refuse_any(self, keys: Sequence[str], why: str) -> None:
        """Complain about the first of these keys that is there."""
        for key in keys:
            if key in self.fields:
                self.refuse(key, why)

    def text(self, key: str) -> str:
        """Return a text that is not empty, without the line end that YAML's folded blocks have."""
        if key not in self.fields:
            raise PolicyError(f"{self.name}:1: {key}: missing")
        value = self.fields[key]
        if not isinstance(value, str) or not value.strip():
            self.refuse(key, "must be a text that is not empty" + _quote_hint(value))
        return value.strip()

    def choice(self, key: str, allowed: Sequence[str]) -> str:
        """Return one of the allowed words."""
        value = self.text(key)
        if value not in allowed:
            self.refuse(key, f"{value!r} is not one of {', '.join(allowed)}")
        return value

    def texts(self, key: str, value: Any = None, label: str = "") -> tuple[str, ...]:
        """Return a list of texts that is not empty and has no empty text in it."""
        found = self.fields[key] if value is None else value
        if not isinstance(found, list) or not found:
            self.refuse(key, f"{label or key} must be a list that is not empty")
        for item in found:
            if not isinstance(item, str) or not item.strip():
                self.refuse(key, f"{label or key}: {item!r} must be a text that is not empty{_quote_hint(item)}")
        return tuple(found)

    def mapping(self, key: str) -> dict[str, Any]:
        """Return a mapping with texts as keys."""
        value = self.fields[key]
        if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
            self.refuse(key, "must be a mapping with texts as keys")
        return value


def _quote_hint(value: object) -> str:
    return "; quote it" if isinstance(value, (int, float, bool)) else ""
