"""What is a credential and what only sounds like one; all values are made up."""

import time

import msgspec
import pytest

from scanner.analysis.secrets.credentials import credentials_in_command, credentials_of
from scanner.analysis.secrets.literals import literal_commands, literal_environment
from tests.builders import NOW, container, snapshot, workload


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", "correct-horse-battery"),
        ("DB_PASSWORD", "hunter2"),
        ("POSTGRES_PASSWORD", "postgres"),
        ("PGPASSWORD", "s3cret"),
        ("MYSQL_PWD", "tr0ub4dor"),
        ("pwd", "tr0ub4dor"),
        ("SMTP_PASS", "tr0ub4dor"),
        ("spring.datasource.password", "tr0ub4dor"),
        ("ADMIN_PASSWORD_2", "changeme"),
        ("AWS_SECRET_ACCESS_KEY", "k1J8vQm2Xz5Rt7Yb4Nc6Lp9Wd3Fg0Hs"),
        ("apiKey", "7f3kQ9vX2mB8nR4t"),
        ("GITHUB_TOKEN", "0a1b2c3d4e5f60718293"),
        ("OAUTH_CLIENT_SECRET", "f47ac10b-58cc-4372-a567-0e02b2c3d479"),
        ("SESSION_SECRET", "abcdefghijklmnopqrstuvwxyzabcdef"),
        ("ANYTHING", "AKIAIOSFODNN7EXAMPLE"),
        ("AUTH_HEADER", "bearer 0a1b2c3d4e5f60718293"),
        ("ANYTHING", "ghp_" + "k3Jx9QmZ2vRt7YbN4cLp6WdF8gHs5TuE1aVo"),
        ("ANYTHING", "-----BEGIN RSA PRIVATE KEY-----\nMIIE"),
        ("ANYTHING", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ0ZXN0In0.c2lnbmF0dXJlLWlzLWhlcmU"),
        ("DATABASE_URL", "postgres://shop:tr0ub4dor@db:5432/shop"),
        ("REDIS_URL", "redis://:tr0ub4dor@cache:6379/0"),
        ("DSN", "Server=db;User Id=app;Password=tr0ub4dor;"),
        ("JDBC_URL", "jdbc:mysql://db/shop?user=app&password=tr0ub4dor"),
    ],
)
def test_a_credential_is_seen(name: str, value: str) -> None:
    """By its name, or by its look."""
    assert credentials_of(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", ""),
        ("DB_PASSWORD", "$(OTHER)"),
        ("DB_PASSWORD", "${DB_PASSWORD}"),
        ("DB_PASSWORD", "$DB_PASSWORD"),
        ("DB_PASSWORD", "{{ .Values.password }}"),
        ("DB_PASSWORD", "<your-password>"),
        ("DB_PASSWORD", "********"),
        ("DB_PASSWORD", "xxxxxx"),
        ("DB_PASSWORD", "true"),
        ("DB_PASSWORD", "12345"),
        ("DB_PASSWORD", "/run/secrets/db"),
        ("DB_PASSWORD", "shop/secrets/db"),
        ("DB_PASSWORD", "vault:secret/data/db#password"),
        ("DB_PASSWORD", "checkout-db-password"),
        ("DB_PASSWORD_FILE", "hunter2hunter2"),
        ("PASSWORD_HASH_ALGORITHM", "argon2id-v19"),
        ("MYSQL_ALLOW_EMPTY_PASSWORD", "sure"),
        ("BYPASS", "loopback7"),
        ("PWD", "srv1"),
        ("TOKEN", "x-session-token"),
        ("TOKEN", "kubernetes"),
        ("TOKEN_ISSUER", "https://login.example.com"),
        ("TOKEN_URL", "https://login.example.com/oauth2/token"),
        ("CREDENTIALS", "include"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/var/run/google/key.json"),
        ("TLS_SECRET", "a1b2c3d4e5f6"),
        ("IMAGE_PULL_SECRET", "registry2login9"),
        ("SECRET_NAME", "a1b2c3d4e5f6"),
        ("AWS_ACCESS_KEY_ID", "a1b2c3d4e5f6a7b8"),
        ("PUBLIC_KEY", "a1b2c3d4e5f6a7b8"),
        ("SORT_KEY", "a1b2c3d4e5f6a7b8"),
        ("NEXT_PUBLIC_MAP_TOKEN", "a1b2c3d4e5f6a7b8"),
        ("DATABASE_URL", "postgres://db:5432/shop"),
        ("DATABASE_URL", "postgres://shop@db:5432/shop"),
        ("DATABASE_URL", "postgres://shop:$(DB_PASSWORD)@db:5432/shop"),
        ("DATABASE_URL", "postgres://shop:<password>@db:5432/shop"),
        ("IMAGE", "registry.example.com:5000/shop/cart@sha256:0123"),
        ("DSN", "Server=db;Password=$(DB_PASSWORD);"),
    ],
)
def test_what_only_sounds_like_a_credential_is_not_one(name: str, value: str) -> None:
    """References, places, switches, numbers, names of Secrets, and names that are about something else."""
    assert not credentials_of(name, value)


@pytest.mark.parametrize(
    ("words", "index"),
    [
        (("--password=tr0ub4dor",), 0),
        (("--admin-password", "tr0ub4dor"), 1),
        (("redis-server", "--requirepass", "tr0ub4dor"), 2),
        (("-token=0a1b2c3d4e5f60718293",), 0),
        (("PGPASSWORD=tr0ub4dor",), 0),
        (("sh", "-c", "export DB_PASSWORD='tr0ub4dor'; exec /app"), 2),
        (("sh", "-c", "mysqldump --password tr0ub4dor shop"), 2),
        (("sh", "-c", 'app "--api-key=7f3kQ9vX2mB8nR4t"'), 2),
        (("curl", "-H", "Authorization: Bearer 0a1b2c3d4e5f60718293"), 2),
        (("--source=https://sync:tr0ub4dor@files.example.com",), 0),
    ],
)
def test_a_credential_in_a_command_line_is_seen(words: tuple[str, ...], index: int) -> None:
    """Joined to its option, behind it, or anywhere in a script."""
    assert [i for i, _ in credentials_in_command(words)] == [index]


@pytest.mark.parametrize(
    "words",
    [
        ("--password-file=/etc/password",),
        ("--password=$(DB_PASSWORD)",),
        ("--password", "--verbose"),
        ("--require-password", "serve"),
        ("--token-ttl", "24h"),
        ("--secret", "shop/front-tls"),
        ("sh", "-c", 'PGPASSWORD="$DB_PASSWORD" psql'),
        ("sh", "-c", 'TOKEN=$(cat /var/run/token) && curl -H "Authorization: Bearer ${TOKEN}" https://x'),
        ("sh", "-c", "TOKEN=`cat /var/run/token`; exec /app"),
        ("--redis", "redis:6379"),
        ("--metrics-address=:8080", "serve"),
    ],
)
def test_a_command_line_without_credential_is_clean(words: tuple[str, ...]) -> None:
    """Files, references and switches."""
    assert not list(credentials_in_command(words))


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "-",
        "{",
        "<",
        "*",
        "'",
        '"',
        " ",
        "eyJ-",
        "a.eyJ-",
        "a://b:",
        "password='",
        " --password ",
        "-----BEGIN ",
        "A=",
        "a-",
    ],
)
def test_a_text_made_to_be_slow_is_not(piece: str) -> None:
    """A tenant's long argument does not hold up the scan: a quadratic pattern would take minutes."""
    text = piece * (2**17 // len(piece))
    started = time.process_time()
    credentials_of("DB_PASSWORD", text)
    list(credentials_in_command(("sh", "-c", f"x {text}", f"--token={text}")))
    assert time.process_time() - started < 5


def test_no_answer_holds_a_value() -> None:
    """Whatever is said of a workload, no credential that it holds is in it."""
    values = ["tr0ub4dor", "7f3kQ9vX2mB8nR4t", "0a1b2c3d4e5f60718293"]
    env = [{"name": "DB_PASSWORD", "value": values[0]}, {"name": "API_KEY", "value": values[1]}]
    app = container(
        env=env, args=[f"--token={values[2]}", "sh", f"x --password {values[0]}", f"http://a:{values[0]}@b"]
    )
    world = snapshot(workload("cart", app))
    answers = [*literal_environment(world, now=NOW), *literal_commands(world, now=NOW)]
    written = repr(answers) + str([msgspec.to_builtins(f) for a in answers for f in a.evidence])
    assert [v for v in values if v in written] == []


def test_evidence_names_each_place() -> None:
    """Command and arguments are one line, and each keeps its own index."""
    app = container(command=["app", "--password"], args=["tr0ub4dor", "--token=0a1b2c3d4e5f60718293"])
    (answer,) = literal_commands(snapshot(workload("cart", app)), now=NOW)
    assert [fact.path for fact in answer.evidence] == [
        "spec.template.spec.containers[0].args[0]",
        "spec.template.spec.containers[0].args[1]",
    ]
