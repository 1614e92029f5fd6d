"""Turns the rules of gitleaks into what the detector reads: `python -m docs.credential_rules gitleaks.toml`.

The file is `config/gitleaks.toml` of a release; that of the release in use stands in the written file. What is left out
is named below with its reason.
"""

import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec

TARGET = Path(__file__).parent.parent / "scanner" / "analysis" / "secrets" / "gitleaks" / "rules.json"
VERSION = "8.30.1"

#: Rules for a name and any long value: our own, which know what names in Kubernetes mean, stand in for them.
_BY_NAME = frozenset({"generic-api-key", "sidekiq-secret"})
#: Identifiers, and keys that are made to be published: no credentials.
_PUBLIC = (
    "-client-id",
    "-access-id",
    "-access-key-id",
    "-pub-key",
    "-public-key",
    "-pub-api-key",
    "new-relic-browser-api-token",
    "new-relic-user-api-id",
)


def converted(source: dict[str, Any]) -> dict[str, Any]:
    """Return the rules that judge a text by itself: those for certain files need a path, which no field here has."""
    rules = [
        {
            "id": rule["id"],
            "regex": rule["regex"],
            "keywords": rule["keywords"],
            "entropy": rule.get("entropy", 0),
            "group": rule.get("secretGroup", 0),
            "allowed": [p for a in rule.get("allowlists", ()) if "regexTarget" not in a for p in a.get("regexes", ())],
        }
        for rule in source["rules"]
        if "regex" in rule and "path" not in rule and rule["id"] not in _BY_NAME and not rule["id"].endswith(_PUBLIC)
    ]
    return {
        "source": f"https://github.com/gitleaks/gitleaks v{VERSION} config/gitleaks.toml, MIT, see LICENSE",
        "allowed": source["allowlist"]["regexes"],
        "rules": rules,
    }


def main() -> None:
    """Read the file that is named and write ours."""
    source = tomllib.loads(Path(sys.argv[1]).read_text())
    TARGET.write_bytes(msgspec.json.format(msgspec.json.encode(converted(source)), indent=1) + b"\n")


if __name__ == "__main__":
    main()
