"""Every function of Kubernetes' CEL libraries gives what the real API server gives."""

from collections.abc import Iterator

import pytest

from scanner.errors import PolicyError
from scanner.policy.cel import CelFailure, activation, compile_expression, evaluate_expression
from tests.policy.api_server import ApiServer, InvalidError, api_server, policy, policy_binding
from tests.services import ControlPlane

#: For an expression that breaks or does not compile.
NO_VALUE = "no value"

#: Each has a text, a number or a truth as its value, breaks, or does not compile.
EXPRESSIONS = (
    # lists
    "[1, 2, 2].isSorted()",
    "['b', 'a'].isSorted()",
    "[1, 2].sum()",
    "[1.5, 2.5].sum()",
    "[2, 1].min()",
    "['a', 'b'].max()",
    "[].max()",
    "[1, 2, 2].indexOf(2)",
    "['a', 'b', 'b'].lastIndexOf('b')",
    "[1.0].indexOf(1.1)",
    "'abcb'.indexOf('b')",
    "'abcb'.lastIndexOf('b')",
    "[1, 2].includes(2)",
    "'a'.includes('b')",
    "[3, 1, 2].sort()[0]",
    "[[1], [2]].flatten().size()",
    "[1, 1, 2].distinct().size()",
    "[1, 2, 3].slice(1, 2)[0]",
    "lists.range(3).sum()",
    "['aa', 'b'].sortBy(s, s.size())[0]",
    "[1, 2, 3].reverse()[0]",
    # sets
    "sets.contains([1, 2, 3], [2])",
    "sets.equivalent([1, 2], [2, 1, 1])",
    "sets.intersects([1], [2])",
    # regular expressions
    "'abc 123'.find('[0-9]+')",
    "'abc 123'.find('[0-9]*')",
    "'abc'.find('xyz')",
    "'abc 123'.findAll('[0-9]*').size()",
    "'123 abc 456'.findAll('[0-9]+').join('|')",
    "'123 abc 456'.findAll('[0-9]+', 1).join('|')",
    "'abc'.findAll('b*').join('|')",
    "'aXbX'.findAll('(?i)x', 0).size()",
    "'ab ab'.find('(a)(b)')",
    "object.metadata.name.find('(')",
    "'Ünï'.find('\\\\pL+')",
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.matches('(a+)+$')",
    # quantities
    *(
        f"isQuantity('{q}')"
        for q in ("1.3Gi", "1,3G", "200K", "Three", "Mi", ".", "+", "-", "1.", ".5", "1e3", "1E", "1e")
    ),
    *(f"isQuantity('{q}')" for q in ("1E+3", "", " 1", "1 ", "0", "-0.1m", "1kk", "12e-3", "1Ei", "e3", "1e1000")),
    "quantity('200M').compareTo(quantity('0.2G'))",
    "quantity('50Mi').compareTo(quantity('50M'))",
    "quantity('150Mi').isGreaterThan(quantity('100Mi'))",
    "quantity('1m').isLessThan(quantity('0.002'))",
    "quantity('0.1n').compareTo(quantity('1n'))",
    "quantity('100Ei').compareTo(quantity('9223372036854775807'))",
    "quantity('1000m') == quantity('1')",
    "quantity('1') == quantity('2')",
    *(
        f"quantity('{q}').isInteger()"
        for q in ("50k", "1000m", "1.0", "1.5Gi", "1Gi", "8Ei", "9999999999999999999G", "1e3")
    ),
    "quantity('50k').asInteger()",
    "quantity('1.5').asInteger()",
    "quantity('1.5').asApproximateFloat()",
    "sign(quantity('-2'))",
    "sign(quantity('0'))",
    "quantity('50k').add(20).sub(quantity('100k')).sub(-50000) == quantity('20')",
    "quantity('50k').sub(quantity('20k')).asInteger()",
    "quantity('nope').isInteger()",
    "quantity('1') < quantity('2')",
    # addresses
    *(
        f"isIP('{ip}')"
        for ip in ("127.0.0.1", "::1", "127.0.0.256", ":::1", "01.2.3.4", "::ffff:1.2.3.4", "fe80::1%eth0", "")
    ),
    "ip.isCanonical('2001:db8::abcd')",
    "ip.isCanonical('2001:DB8::ABCD')",
    "ip.isCanonical('2001:db8::0:0:0:abcd')",
    "ip.isCanonical('nope')",
    "ip('::1').family()",
    "string(ip('2001:DB8:0:0::1'))",
    "ip('0.0.0.0').isUnspecified()",
    "ip('127.9.9.9').isLoopback()",
    *(f"ip('{ip}').isLinkLocalMulticast()" for ip in ("224.0.0.1", "224.0.1.1", "ff02::1", "ff12::1", "fd00::1")),
    *(f"ip('{ip}').isLinkLocalUnicast()" for ip in ("169.254.169.254", "192.168.0.1", "fe80::1", "fd80::1")),
    *(
        f"ip('{ip}').isGlobalUnicast()"
        for ip in ("192.168.0.1", "255.255.255.255", "2001:db8::1", "ff00::1", "0.0.0.0", "::")  # noqa: S104 - nothing binds
    ),
    "ip('1.2.3.4') == ip('1.2.3.4')",
    *(
        f"isCIDR('{c}')"
        for c in ("192.168.0.0/16", "::1/128", "192.168.0.0/33", "::1/129", "192.168.0.1/16", "1.2.3.4/08")
    ),
    *(f"isCIDR('{c}')" for c in ("1.2.3.4", "1.2.3.4/", "1.2.3.4/-1", "::ffff:1.2.3.4/120", "fe80::1%eth0/64")),
    "cidr('192.168.0.0/24').containsIP('192.168.0.1')",
    "cidr('192.168.0.0/24').containsIP(ip('192.168.1.1'))",
    "cidr('0.0.0.0/0').containsIP('::1')",
    "cidr('192.168.0.0/24').containsIP('nope')",
    "cidr('192.168.0.0/16').containsCIDR('192.168.10.0/24')",
    "cidr('192.168.10.0/24').containsCIDR(cidr('192.168.0.0/16'))",
    "cidr('10.0.0.0/8').containsCIDR('::/0')",
    "string(cidr('192.168.0.1/24').ip())",
    "string(cidr('192.168.0.1/24').masked())",
    "string(cidr('192.168.0.1/24'))",
    "cidr('192.168.0.1/24') == cidr('192.168.0.1/24').masked()",
    "cidr('::1/128').prefixLength()",
    # URLs
    *(
        f"isURL('{u}')"
        for u in ("https://a.b:80/", "/path", "../rel", "a", "", "http://", "mailto:a@b", ":x", "*", "http://a b/")
    ),
    *(
        f"isURL('{u}')"
        for u in ("http://a:b/", "http://[::1]:80/", "http://[::1", "http://a/%zz", "//a/b", "http://u:p@h/", "1a:b")
    ),
    *(
        f"isURL('{u}')"
        for u in ("http://a/?q=%zz", "http://a/#%zz", "http://h%20x/", "HTTP://A/", "http://a/b c", "http://a\\\\n/")
    ),
    "url('HTTPS://Example.com:8080/a%20b?x=1#f').getScheme()",
    "url('https://example.com:8080/a').getHost()",
    "url('https://[::1]:80/a').getHost()",
    "url('https://[::1]:80/a').getHostname()",
    "url('https://example.com:8080/a').getPort()",
    "url('https://example.com/a').getPort()",
    "url('https://example.com/a b/%41?x').getEscapedPath()",
    "url('https://example.com/a%20b').getEscapedPath()",
    "url('https://example.com').getEscapedPath()",
    "url('https://example.com/?k=a&k=b%20c&x').getQuery()['k'].join(',')",
    "url('https://example.com/?k=a&k=b%20c&x').getQuery().size()",
    "url('nope').getHost()",
    # versions
    *(
        f"isSemver('{v}')"
        for v in ("1.0.0", "v1.0.0", "1.0", "1.0.0-alpha.1+b", "01.0.0", "1.0.0-01", "1.0.0-", "1.0.0+", "")
    ),
    *(
        f"isSemver('{v}', true)"
        for v in ("v1.0", "1", "01.01.01", "v", "1.0-a", "vv1", "1.2.3-rc.1", "1.2.3.4", "00.0.0")
    ),
    "semver('1.2.3').major() * 100 + semver('1.2.3').minor() * 10 + semver('1.2.3').patch()",
    "semver('1.2.3').compareTo(semver('2.0.0'))",
    "semver('1.0.0-alpha').isLessThan(semver('1.0.0'))",
    "semver('1.0.0-alpha.2').compareTo(semver('1.0.0-alpha.10'))",
    "semver('1.0.0-alpha.1').compareTo(semver('1.0.0-alpha.beta'))",
    "semver('1.0.0-a').compareTo(semver('1.0.0-a.1'))",
    "semver('1.0.0+a') == semver('1.0.0+b')",
    "semver('v1.2', true) == semver('1.2.0')",
    "semver('nope').major()",
    # formats
    *(f"format.dns1123Label().validate('{n}').hasValue()" for n in ("a-b", "A", "a.b", "-a", "", "a" * 64)),
    *(f"format.dns1123Subdomain().validate('{n}').hasValue()" for n in ("a.b", "a..b", "a_b")),
    *(f"format.dns1035Label().validate('{n}').hasValue()" for n in ("a1", "1a")),
    *(f"format.dns1123LabelPrefix().validate('{n}').hasValue()" for n in ("a-", "-", "A-", "a--")),
    *(
        f"format.qualifiedName().validate('{n}').hasValue()"
        for n in ("a.b/c", "a/b/c", "/c", "c", "a.b/", "A/c", "x_Y.z")
    ),
    *(f"format.labelValue().validate('{n}').hasValue()" for n in ("", "a_b", "-a", "a" * 64)),
    *(f"format.uri().validate('{n}').hasValue()" for n in ("http://a", "a")),
    *(f"format.uuid().validate('{n}').hasValue()" for n in ("123e4567-e89b-12d3-a456-426614174000", "1")),
    *(f"format.byte().validate('{n}').hasValue()" for n in ("aGVsbG8=", "aGVsbG8", "", "a b=")),
    *(f"format.date().validate('{n}').hasValue()" for n in ("2021-01-01", "2021-02-30", "2021-1-1")),
    *(
        f"format.datetime().validate('{n}').hasValue()"
        for n in ("2021-01-01T00:00:00Z", "2021-01-01T24:00:00Z", "2021-01-01")
    ),
    "format.named('dns1123Label').hasValue()",
    "format.named('nope').hasValue()",
    "format.named('uuid').value().validate('1').hasValue()",
    # the language itself
    "object.?metadata.?nope.orValue('x')",
    "object.metadata.nope",
    "object.metadata.?labels[?'a'].orValue('none')",
    "[1, 2].all(i, v, v == i + 1)",
    "{'a': 1}.exists(k, v, k == 'a' && v == 1)",
    "[5, 6].transformList(i, v, i + v).sum()",
    "{'a': 1, 'b': 2}.transformMap(k, v, v + 1)['b']",
    "{'a': 1, 'b': 2}.transformMap(k, v, v > 1, k + '!').size()",
    "[5, 6].transformMap(i, v, v * 2)[1]",
    "{'a': 1}.transformMap(k, v, {'b': v}.transformMap(q, w, q + string(w)))['a']['b']",
    "'.transformMap(a, b, c)' + {'a': ',)'}.transformMap(k, v, v)['a']",
    "{'a': 'x', 'b': 'y'}.transformMapEntry(k, v, {v: k})['y']",
    "{'a': 'x', 'b': 'x'}.transformMapEntry(k, v, {v: k}).size()",
    "['x', 'y'].transformMapEntry(i, v, v != 'x', {v: i})['y']",
    "'a,b'.split(',')[1]",
    "'%s-%d'.format(['a', 1])",
    "'AbC'.lowerAscii() + 'abc'.substring(1) + ' x '.trim() + 'aa'.replace('a', 'b')",
    "'abc'.charAt(1) + 'a'.upperAscii()",
    "dyn(1) == 1.0",
    "object.data.n < 2.0",
    "int(object.data.n) < 20.0",
    "int('7') + size('ab')",
    "string(duration('90s').getMinutes())",
    "timestamp('2020-01-01T00:00:00Z') < timestamp('2021-01-01T00:00:00Z')",
    "1 / 0",
    "object.metadata.name.startsWith('case') || object.nope",
    "type(object.data) == map",
    "has(object.data.n) && !has(object.data.m)",
    "optional.of(1).optMap(v, v + 1).orValue(0)",
    "optional.none().or(optional.of(3)).value()",
)


def _object(number: int) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"case-{number}", "namespace": "default"},
        "data": {"n": "7"},
    }


@pytest.fixture(scope="module")
def answers(control_plane: ControlPlane) -> Iterator[list[str]]:
    """What the API server makes of each expression."""
    with api_server(control_plane) as server:
        created = [_is_created(server, number, text) for number, text in enumerate(EXPRESSIONS)]
        server.wait_until_policies_are_active()
        yield [_answer(server, number) if is_valid else NO_VALUE for number, is_valid in enumerate(created)]


def _is_created(server: ApiServer, number: int, text: str) -> bool:
    """Create a policy that says the value of an expression; tell whether it compiles there."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule | {"resourceNames": [f"case-{number}"]}]},
        "validations": [{"expression": "false", "message": NO_VALUE, "messageExpression": f"'=' + string({text})"}],
    }
    try:
        server.create(policy(f"library-{number}", spec))
    except InvalidError:
        return False
    server.create(
        policy_binding(f"library-{number}", {"policyName": f"library-{number}", "validationActions": ["Deny"]})
    )
    return True


def _answer(server: ApiServer, number: int) -> str:
    refusal = server.refusal(_object(number))
    assert refusal is not None
    return refusal.message


@pytest.mark.control_plane
@pytest.mark.parametrize(("number", "text"), list(enumerate(EXPRESSIONS)), ids=EXPRESSIONS)
def test_an_expression_has_the_value_that_it_has_in_the_api_server(answers: list[str], number: int, text: str) -> None:
    """The values are the same; where there is none there, because it breaks or does not compile, there is none here."""
    assert _ours(number, text) == answers[number]


def _ours(number: int, text: str) -> str:
    names = ("object",)
    try:
        expression = compile_expression(f"'=' + string({text})", names)
    except PolicyError:
        return NO_VALUE
    value = evaluate_expression(expression, activation(names, {"object": _object(number)}))
    return NO_VALUE if isinstance(value, CelFailure) else str(value)
