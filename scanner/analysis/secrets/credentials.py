"""Tell a credential from other text, by the name that it has and the look that it has; tuned to few false alarms.

What is a token by its look, gitleaks' rules tell (`detector`); here is what they lack: names, as Kubernetes' users give
them, and what is no credential however it looks. Nothing here returns, keeps or formats a value that it looked at: what
goes out is a kind and a place. A name that ends in what it is (`DB_PASSWORD`, `githubToken`) counts; one that ends in
something about it (`PASSWORD_FILE`, `TOKEN_TTL`, `SECRET_NAME`) does not.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

from scanner.analysis.secrets.detector import MAX_HITS, MAX_TEXT_BYTES, Hit, detector, pattern

#: Shorter texts hold nothing that shows by its look.
_LEAST_LENGTH = 8

#: Last words of a name whose value people choose: any text is taken for one.
_CHOSEN = ("PASSWORD", "PASSWD", "PASSPHRASE", "REQUIREPASS", "MASTERAUTH")
#: The same as whole words only; joined to others they mean something else (BYPASS, OLDPWD), as PWD does by itself.
_CHOSEN_WORDS = frozenset({"PASS", "PWD", "PW"})
#: Last words of a name whose value a machine makes: the value must look so.
_MADE = ("TOKEN", "SECRET", "APIKEY", "CREDENTIAL", "CREDENTIALS", "SECRETKEY", "PRIVATEKEY", "ACCESSKEY")
#: What a key is for, where the last word is KEY alone; any other (`SORT_KEY`, `PUBLIC_KEY`) is none.
_KEYS = frozenset({"ACCESS", "ACCOUNT", "API", "APP", "AUTH", "ENCRYPTION", "MASTER", "PRIVATE", "SECRET", "SIGNING"})
#: Words of names of what may be seen, or of a switch about credentials (`ALLOW_EMPTY_PASSWORD`, `--require-token`).
_HARMLESS = frozenset(
    {
        "PUBLIC",
        "CHECKSUM",
        "ALLOW",
        "ASK",
        "CHECK",
        "DISABLE",
        "EMPTY",
        "ENABLE",
        "GENERATE",
        "MAX",
        "MIN",
        "NO",
        "PROMPT",
    }
    | {"RANDOM", "REQUIRE", "REQUIRED", "SHOW", "SKIP", "USE", "VALIDATE", "VERIFY", "WITH"}
)
#: Words before SECRET in names whose value is the name of a Kubernetes Secret.
_SECRET_BY_NAME = frozenset({"CA", "CERT", "CERTIFICATE", "IMAGE", "PULL", "TLS"})

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

#: Where a value is only a name for something: Kubernetes' $(VAR), shell, templates, placeholders, masks.
_REFERENCE = re.compile(
    r"\$[({]|^[$`]|\{[^}]{0,100}\}|%[s({]|<[^>]{0,100}>|\*\*\*|^(.)\1*$|^(?:REPLACE|INSERT|YOUR|ENTER|TODO)[\W_]",
    re.IGNORECASE,
)
#: Numbers, sizes, durations.
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?\s*(?:[nuµm]?s|m|h|d|w|y|[kmgt]?i?b?)", re.IGNORECASE)
_SWITCHES = frozenset(
    {"", "true", "false", "yes", "no", "on", "off", "none", "null", "nil", "undefined", "enabled", "disabled"}
    | {"required", "optional", "default", "auto", "empty", "redacted", "placeholder", "n/a"}
)
#: Paths and addresses, among them those of secret stores: `vault:secret/data/db`, `arn:aws:secretsmanager:…`.
_LOCATION = re.compile(
    r"(?:~|\.{0,2})/[\w.\-/]*|[a-z][a-z0-9+.\-]*://\S*|(?:vault|arn|ssm|op|file|env|sm|awssm|projects)[:/]\S*",
    re.IGNORECASE,
)
#: The name of a Kubernetes object that holds a credential.
_OBJECT_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*-(?:secrets?|tls|tokens?|creds?|credentials?|passwords?|keys?|auth)")

#: A machine makes at least so much; shorter texts are more often modes and names.
_MADE_LENGTH = 8
#: Words that a person wrote, with short numbers behind them: `x-auth-token`, `session_v2`, `com.example.Tokens`.
_WRITTEN = re.compile(r"[A-Za-z]{1,23}\d{0,3}(?:[-_.:/](?:[A-Za-z]{1,23}\d{0,2}|v?\d{1,3}))*")

#: A token that is written behind its scheme, and the parts of URLs and connection strings that are passwords.
_URL_PASSWORD = r"(?i)[a-z0-9]://[^\s:/@?#]{0,200}:([^\s@/?#]+)@[^\s@]"  # noqa: S105 - an expression
_PARAMETER = r"(?i)(?:^|[;&?\s\"'])(?:password|pwd)\s*=\s*(?:'([^'\n]+)'|\"([^\"\n]+)\"|([^;&\s\"']+))"
_AUTHORIZATION = r"(?i)(?:authorization[\"']?\s*[:=]\s*[\"']?|^)(?:bearer|basic|token)\s+([\w.~+/=-]{8,})"
#: A private key of which less is there than gitleaks wants to see.
_PRIVATE_KEY = r"-{3,5}BEGIN (?:[A-Z]{1,20} ){0,3}PRIVATE KEY"
#: The id of an access key of AWS: the documentation's own example counts, for somebody pasted it with its key.
_AWS_KEY_ID = r"\b((?:AKIA|ASIA)[A-Z2-7]{16})\b"

_NAME = r"[A-Za-z0-9_.\-]*(?i:pass|pwd|pw|secret|token|key|credential|auth)[A-Za-z0-9_.\-]*"
#: In a configuration file: a name, what separates it, a value with or without quotes.
_ASSIGNMENT = (
    rf"(?:^|[^A-Za-z0-9_.\-$])({_NAME})(?:[\"']?[ \t]*(?::=|=>|=|:)[ \t]*|(?:[ \t]+))"
    r"(?:[|>]-?[ \t]*\n[ \t]*)?(?:\"([^\"\n]+)\"|'([^'\n]+)'|([^\s\"'`,;&|<>){}\[\]][^\s\"'`,;&|<>)}\]]*))"
)
#: The same as an element of XML, and as an entry of an `env` list.
_ELEMENT = rf"<(?:[\w]+:)?({_NAME})>([^<>\n]+)</"
_ENTRY = (
    rf"(?i)[\"']?name[\"']?\s*[:=]\s*[\"']?({_NAME})[\"']?\s*,?\s*"
    r"[\"']?value[\"']?\s*[:=]\s*[\"']?([^\s\"',}]+)"
)
#: Texts without any of these words have nothing that a name could tell.
_TELLING = r"(?i)pass|pwd|pw|secret|token|key|credential|auth"

_OPTION = re.compile(r"(--?[A-Za-z][\w.-]*)=(.*)", re.DOTALL)
_OPTION_NAME = re.compile(r"--?[A-Za-z][\w.-]*")
_VARIABLE = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


class _Patterns(NamedTuple):
    private_key: Any
    aws_key_id: Any
    url: Any
    parameter: Any
    authorization: Any
    assignment: Any
    element: Any
    entry: Any
    telling: Any


@cache
def _patterns() -> _Patterns:
    """Return our own expressions; like the detector's, anyone may choose what they search, so RE2 runs them."""
    texts = (_PRIVATE_KEY, _AWS_KEY_ID, _URL_PASSWORD, _PARAMETER, _AUTHORIZATION)
    return _Patterns(*map(pattern, (*texts, f"(?m){_ASSIGNMENT}", _ELEMENT, _ENTRY, _TELLING)))


def credentials_of(name: str, value: str) -> tuple[Hit, ...]:
    """Return the credentials in a value that has a name: an environment variable, a header, an annotation."""
    found = credentials_in(value, name)
    return found or _whole(name, value)


def credentials_in(text: str, name: str = "") -> tuple[Hit, ...]:
    """Return the credentials that a text shows by their look, whatever its name; sorted, none within another.

    The name helps rules that want to see whose token it is (`DATADOG_API_KEY`); by itself it makes nothing one.
    """
    if len(text) < _LEAST_LENGTH:
        return ()
    raw = _bytes(text)
    before = _bytes(f"{name}=") if name else b""
    found = [
        Hit(hit.kind, hit.start - len(before), hit.end - len(before))
        for hit in detector().hits(before + raw)
        if hit.start >= len(before) and _is_real((before + raw)[hit.start : hit.end])
    ]
    p = _patterns()
    found += [Hit("private-key", m.start(), len(raw)) for m in _some(p.private_key, raw)]
    found += [Hit("aws-access-token", m.start(1), m.end(1)) for m in _some(p.aws_key_id, raw)]
    if b"@" in raw:
        found += [Hit("url-password", m.start(1), m.end(1)) for m in _some(p.url, raw) if _is_chosen(_text(m.group(1)))]
    if b"=" in raw:
        found += [
            Hit("password", m.start(g), m.end(g))
            for m in _some(p.parameter, raw)
            for g in (1, 2, 3)
            if m.group(g) and _is_chosen(_text(m.group(g)))
        ]
    found += [
        Hit("authorization", m.start(1), m.end(1)) for m in _some(p.authorization, raw) if is_made(_text(m.group(1)))
    ]
    return outermost(found)


def credentials_in_file(text: str) -> tuple[Hit, ...]:
    """Return the credentials in a text of many lines: a configuration file of whatever language, or a script."""
    found = [*credentials_in(text)]
    raw = _bytes(text)[:MAX_TEXT_BYTES]
    p = _patterns()
    if p.telling.search(raw):
        for search in (p.assignment, p.element, p.entry):
            for match in _some(search, raw):
                groups = [g for g in range(2, len(match.groups()) + 1) if match.group(g)]
                for group in groups[:1]:
                    kind = kind_by_name(_text(match.group(1)), _text(match.group(group)))
                    if kind and not (
                        _is_code(raw, match.end(group)) or _is_prose(raw, match.start(group), match.end(group))
                    ):
                        found.append(Hit(kind, match.start(group), match.end(group)))
    return outermost(found)


def credentials_in_command(words: tuple[str, ...]) -> Iterator[tuple[int, tuple[Hit, ...]]]:
    """Yield for each word of a command line that gives away credentials its index and them.

    `--password=x`, `--password x`, `PGPASSWORD=x psql` in a script, URLs with a password, known tokens.
    """
    for index, word in enumerate(words):
        option = words[index - 1] if index and _OPTION_NAME.fullmatch(words[index - 1]) else ""
        if found := _in_word(word, option):
            yield index, found


def _in_word(word: str, option: str) -> tuple[Hit, ...]:
    """Return the credentials in one word of a command line; `option` is the one before it, if it is one."""
    if assigned := (_OPTION.fullmatch(word) or (_VARIABLE.fullmatch(word) if not re.search(r"\s", word) else None)):
        name, value = assigned[1], assigned[2]
        offset = len(_bytes(word)) - len(_bytes(value))
        return tuple(Hit(h.kind, h.start + offset, h.end + offset) for h in credentials_of(name, value))
    if option.startswith("--") and not word.startswith("-"):
        return credentials_of(option, word)
    if re.search(r"\s", word):
        return credentials_in_file(word)
    return credentials_in(word)


def outermost(found: Iterable[Hit]) -> tuple[Hit, ...]:
    """Return hits in the order of the text, of those that meet the one that starts first, then the longest."""
    kept: list[Hit] = []
    for hit in sorted(found, key=lambda h: (h.start, -h.end, h.kind)):
        if hit.start < hit.end and (not kept or hit.start >= kept[-1].end):
            kept.append(hit)
    return tuple(kept)


def kind_by_name(name: str, value: str) -> str:
    """Return which kind of credential a value is that its name says to be one; empty if it is none."""
    words = [w.upper() for w in _WORDS.findall(name)]
    while len(words) > 1 and words[-1].isdigit():
        words.pop()
    if not words or _HARMLESS.intersection(words):
        return ""
    if _is_chosen_name(words) and name != "PWD":
        return "password" if _is_chosen(value) else ""
    return "token-or-key" if _is_made_name(words) and is_made(value) else ""


def _whole(name: str, value: str) -> tuple[Hit, ...]:
    kind = kind_by_name(name, value)
    return (Hit(kind, 0, len(_bytes(value))),) if kind else ()


def _some(search: Any, raw: bytes) -> Iterator[Any]:
    return islice(search.finditer(raw), MAX_HITS)


def _is_code(raw: bytes, end: int) -> bool:
    """Tell whether what was taken for a value goes on as an expression: `token = get_token(`, `key = keys[`."""
    return raw[end : end + 1] in {b"(", b"["} and raw[end : end + 2] != b"[]"


def _is_prose(raw: bytes, start: int, end: int) -> bool:
    """Tell whether a value without quotes is a call, or the first word of a sentence: `password: ask somebody`."""
    is_sentence = re.match(rb"[ \t]+[A-Za-z]", raw[end : end + 80]) and raw[:start].rstrip(b" \t")[-1:] == b":"
    return (
        bool(is_sentence)
        or re.fullmatch(rb"[A-Za-z_.]{1,80}\(.{0,200}", raw[start : start + 280].split(b"\n")[0]) is not None
    )


def _is_real(secret: bytes) -> bool:
    """Tell whether what a rule found is no reference and no placeholder."""
    text = _text(secret)
    return not _REFERENCE.search(text) and "example" not in text.lower()


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _is_chosen_name(words: list[str]) -> bool:
    return words[-1].endswith(_CHOSEN) or words[-1] in _CHOSEN_WORDS


def _is_made_name(words: list[str]) -> bool:
    before = words[-2] if len(words) > 1 else ""
    if words[-1] == "SECRET":
        return before not in _SECRET_BY_NAME
    return words[-1].endswith(_MADE) or (words[-1] == "KEY" and before in _KEYS)


def _is_chosen(value: str) -> bool:
    """Tell whether a value can be a password: no reference to one, no switch, number or place."""
    text = value.strip()
    return not (
        text.lower() in _SWITCHES
        or _REFERENCE.search(text)
        or _NUMBER.fullmatch(text)
        or _LOCATION.fullmatch(text)
        or _OBJECT_NAME.fullmatch(text)
        or ("/" in text and _WRITTEN.fullmatch(text))
    )


def is_made(value: str) -> bool:
    """Tell whether a machine made a value: long enough, in one piece, and no plain words."""
    text = value.strip()
    if len(text) < _MADE_LENGTH or re.search(r"\s", text) or _WRITTEN.fullmatch(text):
        return False
    return _is_chosen(text)
