"""The operations of the admin API."""

import inspect
import json
import re
import socket
import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest

from imds_emulator import AdminError, Control, Emulator, ExpectationError


def send(imds: Emulator, method: str, path: str, **headers: str) -> tuple[int, str]:
    """Sends a request to the metadata service. Returns the status and the body."""
    host, _, port = imds.url[len("http://") :].rpartition(":")
    lines = [f"{method} {path} HTTP/1.1", "Host: imds", "Connection: close", "Content-Length: 0"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    with socket.create_connection((host, int(port))) as stream:
        stream.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while part := stream.recv(65536):
            answer += part
    head, _, body = answer.decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


def token(imds: Emulator) -> str:
    """A new token."""
    status, body = send(
        imds, "PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="21600"
    )
    assert status == 200
    return body


def role(imds: Emulator, token: str) -> tuple[int, str]:
    """The role list."""
    path = "/latest/meta-data/iam/security-credentials/"
    return send(imds, "GET", path, X_aws_ec2_metadata_token=token)


def test_every_operation_of_the_admin_api_has_a_method(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = set()
    real = Control._send

    def spy(self: Control, method: str, path: str, *others: Any, **more: Any) -> Any:
        used.add((method, "/__admin/" + path.partition("?")[0]))
        return real(self, method, path, *others, **more)

    monkeypatch.setattr(Control, "_send", spy)
    imds = emulator
    rule = {"name": "n", "fault": {"type": "latency", "latency": timedelta(seconds=1)}}
    imds.add_rule(rule)
    imds.put_rule(rule)
    assert imds.rule("n").rule["fault"]["latency"] == "1s"
    imds.remove_fault("n")
    assert [each.name for each in imds.replace_rules([rule])] == ["n"]
    assert [(each.name, each.problem) for each in imds.rules()] == [("n", None)]
    imds.clear_faults()
    assert imds.rules() == []
    assert "imds-outage" in imds.presets()
    with imds.preset("imds-outage"):
        assert len(imds.rules()) == 1
    assert imds.rules() == []
    assert imds.is_running()
    imds.freeze()
    assert not imds.is_running()
    assert imds.unfreeze() <= imds.now() < imds.advance("6h")
    assert (
        imds.change_instance(instance_type="m7g.large", architecture="arm64")["architecture"]
        == "arm64"
    )
    assert imds.instance()["instance-type"] == "m7g.large"
    assert imds.change_options(HttpTokens="optional") == imds.options()
    assert imds.announce(rebalance_recommendation={}) == imds.events()
    assert imds.events()["rebalance-recommendation"] is not None
    imds.clear_events()
    assert imds.events()["rebalance-recommendation"] is None
    imds.rotate()
    imds.revoke_tokens()
    step = {"name": "by hand", "do": ["heal_all", {"preset": "throttled"}]}
    assert imds.set_timeline([step])[0].name == "by hand"
    imds.take_step("by hand")
    assert [each.seen for each in imds.timeline()] == [0]
    assert len(imds.rules()) == 1
    imds.clear_timeline()
    assert imds.timeline() == []
    assert imds.scenario("s") == "Started"
    imds.set_scenario("s", "next")
    assert imds.scenario("s") == "next"
    assert imds.journal() == []
    assert imds.count() == 0
    imds.request("GET", "requests", query={"limit": 1})
    next_one = imds.follow()
    token(imds)
    assert next(next_one).method == "PUT"
    next_one.close()  # type: ignore[attr-defined]
    imds.clear_journal()
    with pytest.raises(AdminError, match=r"packets.* \(409\)"):
        imds.packets()
    imds.verify("no_imdsv1")
    assert "imds_requests_total" in imds.metrics()
    assert imds.health() == "ok"
    imds.reset()
    assert imds.rules() == []

    described = imds.request("GET", "openapi.json")
    for path, operations in described["paths"].items():
        for method in operations:
            if method == "parameters" or path in ("/__admin/openapi.json", "/__admin/ready"):
                continue
            shape = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))
            found = any(each == method.upper() and re.fullmatch(shape, at) for each, at in used)
            assert found, f"no method for {method.upper()} {path}"


def test_no_parameter_of_a_fault_has_the_name_of_an_argument(emulator: Emulator) -> None:
    schema = emulator.request("GET", "openapi.json")["components"]["schemas"]["Fault"]
    kinds = schema.get("oneOf") or schema["anyOf"]
    parameters = {name for kind in kinds for name in kind.get("properties", {}) if name != "type"}
    assert {"code", "name", "fix-content-length"} <= parameters
    assert not any("_" in name for name in parameters)
    arguments = inspect.signature(Control.fault).parameters.values()
    keywords = {each.name for each in arguments if each.kind is inspect.Parameter.KEYWORD_ONLY}
    assert keywords == {"on", "times", "match", "when", "priority"}
    assert not keywords & parameters


def test_a_fault_applies_until_its_limit_or_the_end_of_the_block(emulator: Emulator) -> None:
    held = token(emulator)
    with emulator.fault(
        "outage",
        "status",
        code=503,
        retry_after=timedelta(seconds=2),
        on="/latest/api/token",
        times=1,
    ) as outage:
        assert role(emulator, held) == (200, "web-server")
        status, _ = send(
            emulator, "PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="60"
        )
        assert status == 503
        assert outage.applied == 1
        assert role(emulator, held) == (200, "web-server")
        token(emulator)
        assert outage.applied == 1
    assert emulator.rules() == []
    fault = emulator.fault(
        "a.b c", "drop_header", name="Server", match={"method": "GET"}, priority=3
    )
    assert repr(fault) == "Fault('a.b c')"
    assert emulator.rule("a.b c").rule["priority"] == 3
    with pytest.raises(AdminError, match=r"a\.b c"):
        emulator.fault("a.b c", "down")
    fault.remove()
    with pytest.raises(AdminError) as error:
        fault.remove()
    assert error.value.status == 404
    with emulator.fault("short", "down"):
        emulator.clear_faults()


@pytest.mark.parametrize(
    ("kind", "parameters", "message", "field"),
    [
        ("nope", {}, "fault.type: unknown variant `nope`", "fault.type"),
        ("status", {"code": 5000}, 'fault.code: "5000" is not accepted', "fault.code"),
        ("status", {"cod": 503}, "cod", "fault.cod"),
        ("latency", {"latency": "soon"}, "soon", "fault.latency"),
    ],
)
def test_an_invalid_fault_is_an_error(
    emulator: Emulator, kind: str, parameters: dict[str, Any], message: str, field: str
) -> None:
    with pytest.raises(AdminError) as error:
        emulator.fault("f", kind, **parameters)
    assert message in str(error.value)
    assert (error.value.status, error.value.field) == (422, field)


def test_the_clock_moves(emulator: Emulator) -> None:
    begin = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
    emulator.freeze()
    assert emulator.set_clock(begin) == begin
    assert emulator.advance("6h") == begin + timedelta(hours=6)
    assert emulator.advance(timedelta(hours=-6, microseconds=1)) == begin + timedelta(
        microseconds=1
    )
    assert emulator.set_clock("2026-01-02T03:04:05+01:00").hour == 2
    assert emulator.set_clock("+1m").minute == 5
    with pytest.raises(ValueError, match="no time zone"):
        emulator.set_clock(datetime(2026, 1, 2))
    with pytest.raises(AdminError, match="tomorrow"):
        emulator.advance("tomorrow")


def test_a_token_expires_when_the_clock_moves(emulator: Emulator) -> None:
    held = token(emulator)
    assert role(emulator, held) == (200, "web-server")
    emulator.advance("7h")
    assert role(emulator, held)[0] == 401
    assert [exchange.token for exchange in emulator.journal(method="GET")] == ["valid", "expired"]


def test_revoked_tokens_are_rejected(emulator: Emulator) -> None:
    held = token(emulator)
    emulator.revoke_tokens()
    assert role(emulator, held)[0] == 401
    assert emulator.count(token="invalid") == 1


def test_the_journal_has_what_the_admin_api_has(emulator: Emulator) -> None:
    with emulator.fault("slow", "latency", latency="20ms"):
        token(emulator)
    send(emulator, "GET", "/latest/", User_Agent='a "b"')
    put, get = emulator.journal()
    assert (put.number, put.method, put.path) == (1, "PUT", "/latest/api/token")
    assert (put.status, put.outcome, put.imds, put.token) == (200, "answered", "v2", "none")
    assert (put.rules, put.lifetime, put.client, put.forwarded) == (
        ["slow"],
        21600,
        "127.0.0.1",
        False,
    )
    assert put.duration >= timedelta(milliseconds=20)
    assert timedelta() < put.uptime < get.uptime
    assert abs(put.at - datetime.now(timezone.utc)) < timedelta(minutes=1)
    assert (get.user_agent, get.status, get.imds, get.process) == ('a "b"', 401, "v1", None)
    assert emulator.journal(status=401) == [get]
    assert emulator.journal(user_agent="a *", since=1) == [get]
    lines = emulator.request("POST", "requests/verify", [{"requests": {"number": 9}}])
    assert lines["holds"] is False
    assert str(get).endswith('127.0.0.1 GET /latest/ 401 v1 token:none "a \\"b\\""')
    assert str(put).endswith("PUT /latest/api/token 200 v2 token:none [slow]")
    with pytest.raises(AdminError, match="stat"):
        emulator.journal(stat=401)


def test_an_exchange_has_the_process_if_it_is_recorded() -> None:
    with Emulator({"journal": {"process": True}}) as imds:
        token(imds)
        (exchange,) = imds.journal()
        if exchange.process is None:
            pytest.skip("the emulator cannot find processes here")
        assert exchange.process["name"] in str(exchange)


def test_an_assertion_has_every_form_of_the_command(emulator: Emulator) -> None:
    token(emulator)
    forms: list[Any] = [
        "no_imdsv1",
        '"no_imdsv1"',
        "max_token_puts=1",
        '{"max_token_puts": 1}',
        {"max_token_puts": 1},
        {"order": ["PUT /latest/api/token"], "no_forwarded": True} and {"order": ["PUT **"]},
    ]
    verdicts = emulator.verify(
        *forms, no_forwarded=True, requests={"number": 1, "of": {"status": 200}}
    )
    assert all(verdict.holds for verdict in verdicts)
    assert len(verdicts) == 8
    assert str(verdicts[2]) == "holds  max_token_puts=1: 1 request for a token"
    with pytest.raises(AdminError, match="no_imdsv3"):
        emulator.verify("no_imdsv3")
    with pytest.raises(ValueError, match="is not JSON"):
        emulator.verify("{")


def test_an_assertion_that_fails_names_the_requests(emulator: Emulator) -> None:
    send(emulator, "GET", "/latest/meta-data/")
    with pytest.raises(ExpectationError) as error:
        emulator.verify("no_imdsv1", max_token_puts=3)
    assert isinstance(error.value, AssertionError)
    first, fails, request, holds = str(error.value).splitlines()
    assert first == "1 assertion about the requests does not hold"
    assert fails == "FAILS  no_imdsv1: 1 of 1 requests had no token"
    assert re.fullmatch(
        r" {9}#1 \S+ 127\.0\.0\.1 GET /latest/meta-data/ 401 v1 token:none", request
    )
    assert holds.startswith("holds  max_token_puts=3: ")
    assert [verdict.holds for verdict in error.value.verdicts] == [False, True]
    assert [verdict.holds for verdict in emulator.verdicts("no_imdsv1")] == [False]


def test_follow_receives_what_comes_from_then_on(emulator: Emulator) -> None:
    token(emulator)
    exchanges = emulator.follow()
    send(emulator, "GET", "/latest/")
    assert next(exchanges).path == "/latest/"
    threading.Timer(0.2, emulator.stop).start()
    assert list(exchanges) == []


def test_any_request_can_be_sent(emulator: Emulator) -> None:
    assert emulator.request("GET", "/__admin/ready") == {"status": "ok"}
    assert emulator.request("GET", "ready") == {"status": "ok"}
    with pytest.raises(AdminError, match=r"no such path \(404\)"):
        emulator.request("GET", "nothing")


def test_an_emulator_that_something_else_started_can_be_controlled(emulator: Emulator) -> None:
    control = Control(emulator.admin_url + "/")
    control.fault("outage", "status", code=503)
    assert [rule.name for rule in emulator.rules()] == ["outage"]
    emulator.stop()
    with pytest.raises(AdminError, match=f"cannot reach the admin API at {control.admin_url}"):
        control.health()
    for url in ("127.0.0.1:1339", "https://localhost", "/run/imds.sock"):
        with pytest.raises(ValueError, match="accepted: http://ADDRESS:PORT"):
            Control(url)


def test_a_server_that_is_no_admin_api_is_an_error(emulator: Emulator) -> None:
    with pytest.raises(AdminError, match=r"the server is not an admin API: it answered 40\d"):
        Control(emulator.url).health()


def test_boto3_has_no_credentials_during_an_outage(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in emulator.variables.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with emulator.fault("outage", "status", code=503):
        assert boto3.Session().get_credentials() is None
    assert boto3.Session().get_credentials() is not None
    json.dumps([exchange.raw for exchange in emulator.journal()])
