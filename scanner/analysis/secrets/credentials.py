"""Tell a credential from other text, by the name that it has and the look that it has; tuned to few false alarms.

Nothing here returns, keeps or formats a value that it looked at: what goes out is a text that says why it is a
credential. A name that ends in what it is (`DB_PASSWORD`, `githubToken`) counts; one that ends in something about it
(`PASSWORD_FILE`, `TOKEN_TTL`, `SECRET_NAME`) does not.
"""

import re
from collections.abc import Iterator

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
    {"PUBLIC", "ALLOW", "ASK", "CHECK", "DISABLE", "EMPTY", "ENABLE", "GENERATE", "MAX", "MIN", "NO", "PROMPT"}
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

# Anyone who may create a workload chooses these texts, up to megabytes: no pattern may look far from where it starts.
_URL_PASSWORD = re.compile(r"(?<=[a-z0-9])://[^\s:/@?#]{0,200}:([^\s@/?#]{1,1000})@[^\s@]", re.IGNORECASE)
_PARAMETER = re.compile(
    r"(?:^|[;&?\s])(?:password|pwd)\s*=\s*('[^']{0,1000}'|\"[^\"]{0,1000}\"|[^;&\s]+)", re.IGNORECASE
)
_HEADER = re.compile(r"authorization:\s*(?:bearer|basic|token)\s+([\w.~+/=-]{8,})", re.IGNORECASE)
_BEARER = re.compile(r"^bearer\s+([\w.~+/=-]{8,})$", re.IGNORECASE)

#: Values that say themselves what they are. Sources: the issuers' documentation of their token formats.
_KNOWN: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a private key", re.compile(r"---BEGIN (?:[A-Z]{1,20} ){0,3}PRIVATE KEY---")),
    ("an access key of AWS", re.compile(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b")),
    ("a GitHub token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{50})")),
    ("a GitLab token", re.compile(r"\bglpat-[\w-]{20}")),
    ("a Slack token", re.compile(r"\bxox[abprs]-[\w-]{10}")),
    ("a Stripe key", re.compile(r"\b[sr]k_live_\w{16}")),
    ("a signed JSON Web Token", re.compile(r"[\w-]\.eyJ[\w-]{10,4000}+\.[\w-]{10}")),
)

_OPTION = re.compile(r"(--?[A-Za-z][\w.-]*)=(.*)", re.DOTALL)
#: In a script: an option or a variable and what it is given.
_IN_SCRIPT = re.compile(
    r"(?:^|[\s;&|(\"'])(?:(--?[A-Za-z][\w.-]*|[A-Za-z_]\w*)=|(--[A-Za-z][\w.-]*)\s+)"
    r"(\"[^\"]{0,1000}\"|'[^']{0,1000}'|[^\s;&|\"')-][^\s;&|\"')]*)"
)


def why_environment(name: str, value: str) -> str:
    """Say why an environment variable holds a credential; empty if it does not seem to."""
    return why_text(value) or _why_named(name, value)


def why_text(text: str) -> str:
    """Say why a text holds a credential whatever its name; empty if it does not seem to."""
    for what, pattern in _KNOWN:
        if pattern.search(text):
            return what
    if any(_is_made(token) for token in _BEARER.findall(text)):
        return "a bearer token"
    if any(_is_chosen(password) for password in _URL_PASSWORD.findall(text)):
        return "a password in a URL"
    if any(_is_chosen(_unquoted(password)) for password in _PARAMETER.findall(text)):
        return "a password in a connection string"
    return ""


def why_command(words: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield for each word of a command line that gives away a credential its index and why.

    `--password=x`, `--password x`, `PGPASSWORD=x psql` in a script, URLs with a password, known tokens.
    """
    for index, word in enumerate(words):
        option = words[index - 1] if index and re.fullmatch(r"--[A-Za-z][\w.-]*", words[index - 1]) else ""
        if why := _why_word(word, option):
            yield index, why


def _why_word(word: str, option: str) -> str:
    """Say why one word of a command line holds a credential; `option` is the one before it, if it is one."""
    if any(_is_made(token) for token in _HEADER.findall(word)):
        return "a value of the header Authorization"
    if assigned := _OPTION.fullmatch(word):
        return why_text(assigned[2]) or _why_named(assigned[1], assigned[2])
    if option and not word.startswith("-"):
        return why_text(word) or _why_named(option, word)
    if re.search(r"\s", word):
        found = (_why_named(a or b, _unquoted(value)) for a, b, value in _IN_SCRIPT.findall(word))
        return why_text(word) or next(filter(None, found), "")
    name, _, value = word.partition("=")
    return why_text(word) or (_why_named(name, value) if re.fullmatch(r"[A-Za-z_]\w*", name) else "")


def _unquoted(text: str) -> str:
    return text[1:-1] if text[:1] in {"'", '"'} and text[-1:] == text[:1] else text


def _why_named(name: str, value: str) -> str:
    """Say that a value is the credential that its name says; the value is judged, never shown."""
    words = [w.upper() for w in _WORDS.findall(name)]
    while len(words) > 1 and words[-1].isdigit():
        words.pop()
    if not words or _HARMLESS.intersection(words):
        return ""
    if _is_chosen_name(words) and name != "PWD":
        return f"the value of {name}" if _is_chosen(value) else ""
    return f"the value of {name}" if _is_made_name(words) and _is_made(value) else ""


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


def _is_made(value: str) -> bool:
    """Tell whether a machine made a value: long enough, in one piece, and no plain words."""
    text = value.strip()
    if len(text) < _MADE_LENGTH or re.search(r"\s", text) or _WRITTEN.fullmatch(text):
        return False
    return _is_chosen(text)
