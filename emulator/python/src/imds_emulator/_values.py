"""The values of the admin API, in Python."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Union

#: A length of time: ``"6h 30m"``, as in the configuration, or a ``timedelta``.
Duration = Union[str, timedelta]
#: A moment: ``"2026-01-02T03:04:05Z"``, ``"+2m"`` for two minutes from now, or a ``datetime`` with a
#: time zone.
Moment = Union[str, datetime]
#: An assertion: its name, ``"NAME=VALUE"``, JSON, or a mapping of its name to its value.
Assertion = Union[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Exchange:
    """A request, and what became of it."""

    #: The number of the request, counted from 1 since the emulator was started or reset.
    number: int
    #: When the request arrived, on the emulator's clock.
    at: datetime
    #: When the request arrived, in real time since the emulator was started.
    uptime: timedelta
    #: The client's address.
    client: str
    #: The number of the connection that the request came on.
    connection: int | None
    method: str
    #: The path, without a query.
    path: str
    #: The version of IMDS that the client used: ``v1`` (no token) or ``v2``.
    imds: str
    #: The state of the request's token: ``none``, ``valid``, ``expired`` or ``invalid``.
    token: str
    #: The lifetime in seconds that a request for a token asks for.
    lifetime: int | None
    #: Whether the request had an ``X-Forwarded-For``.
    forwarded: bool
    #: The ``User-Agent`` of the request.
    user_agent: str | None
    #: The names of the rules that applied.
    rules: list[str]
    #: ``answered``, ``spoiled``, ``reset``, ``no-response`` or ``abandoned``.
    outcome: str
    #: The status of the response, if there was one.
    status: int | None
    #: The length of the response's body in bytes.
    bytes: int
    #: Time until the response was sent, in real time.
    duration: timedelta
    #: The process that opened the connection, if ``journal.process`` is set and it was found.
    process: dict[str, Any] | None
    #: The exchange as the admin API describes it.
    raw: dict[str, Any] = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Exchange:
        return cls(
            number=raw["number"],
            at=moment_of(raw["at"]),
            uptime=timedelta(milliseconds=raw["uptime-ms"]),
            client=raw["client"],
            connection=raw.get("connection"),
            method=raw["method"],
            path=raw["path"],
            imds=raw["imds"],
            token=raw["token"],
            lifetime=raw.get("lifetime"),
            forwarded=raw["forwarded"],
            user_agent=raw.get("user-agent"),
            rules=raw["rules"],
            outcome=raw["outcome"],
            status=raw.get("status"),
            bytes=raw["bytes"],
            duration=timedelta(milliseconds=raw["duration-ms"]),
            process=raw.get("process"),
            raw=raw,
        )

    def __str__(self) -> str:
        result = self.outcome if self.status is None else str(self.status)
        line = (
            f"#{self.number} {text_of(self.at)} {self.client} {self.method} {self.path} {result} "
            f"{self.imds} token:{self.token}"
        )
        if self.user_agent is not None:
            line += f" {json.dumps(self.user_agent, ensure_ascii=False)}"
        if self.process is not None:
            line += f" by {self.process['name']}({self.process['pid']})"
        if self.rules:
            line += f" [{', '.join(self.rules)}]"
        return line


@dataclass(frozen=True)
class Verdict:
    """Whether an assertion holds, and why."""

    #: The assertion as the admin API writes it: a name, or a mapping of the name to its value.
    assertion: str | dict[str, Any]
    #: Whether it holds.
    holds: bool
    #: The reason.
    why: str
    #: The exchanges that violate the assertion, or come closest to fulfilling it.
    exchanges: list[Exchange]

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Verdict:
        exchanges = [Exchange.of(exchange) for exchange in raw["exchanges"]]
        return cls(raw["assertion"], raw["holds"], raw["why"], exchanges)

    def __str__(self) -> str:
        mark = "holds" if self.holds else "FAILS"
        lines = [f"{mark}  {written(self.assertion)}: {self.why}"]
        lines += [f"         {exchange}" for exchange in self.exchanges]
        return "\n".join(lines)


@dataclass(frozen=True)
class Rule:
    """A fault rule, and how often it applied."""

    #: The name of the rule.
    name: str
    #: The rule as in the configuration: ``name``, ``fault``, ``match``, ``when``, ``priority``.
    rule: dict[str, Any]
    #: The number of requests that the rule has applied to.
    applied: int
    #: Why the rule is not in effect in a network of the emulator, if it is not.
    problem: str | None

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Rule:
        return cls(raw["rule"]["name"], raw["rule"], raw["applied"], raw.get("problem"))


@dataclass(frozen=True)
class Step:
    """A step of the timeline, and its state."""

    #: The name of the step.
    name: str
    #: The step as in the configuration.
    step: dict[str, Any]
    #: The state, as the admin API describes it.
    state: Any
    #: The number of requests so far, of those that the step waits for.
    seen: int

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Step:
        return cls(raw["step"]["name"], raw["step"], raw["state"], raw["seen"])


def moment_of(text: str) -> datetime:
    """Reads a time of the admin API, which may have nanoseconds."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z", text)
    if found is None:
        raise ValueError(f"{text!r} is not a time of the admin API")
    second = datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return second + timedelta(microseconds=int((found[2] or ".0")[1:7].ljust(6, "0")))


def text_of(moment: datetime) -> str:
    """Writes a time as the command ``imds-emulator`` does."""
    utc = moment.astimezone(timezone.utc).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds") + "Z"


def plain(value: Any) -> Any:
    """Makes a value JSON: lengths of time and moments become text, mappings and sequences copies."""
    if isinstance(value, timedelta):
        microseconds = value // timedelta(microseconds=1)
        return f"{'-' if microseconds < 0 else ''}{abs(microseconds)}us"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(
                f"the time {value.isoformat()} has no time zone; add one, such as timezone.utc"
            )
        return value.astimezone(timezone.utc).replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [plain(each) for each in value]
    return value


def hyphenated(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Makes keyword arguments keys of the admin API: ``retry_after`` becomes ``retry-after``."""
    return {key.replace("_", "-"): plain(value) for key, value in keywords.items()}


def assertions_of(assertions: Sequence[Assertion], named: Mapping[str, Any]) -> list[Any]:
    """Makes assertions JSON. They are as for ``imds-emulator ctl verify``, or mappings."""
    result: list[Any] = []
    for assertion in assertions:
        if isinstance(assertion, str):
            result.append(_assertion_of(assertion))
        else:
            result += [{name: plain(value)} for name, value in assertion.items()]
    for name, value in named.items():
        # `no_imdsv1=True` is how a keyword argument gives a name alone.
        result.append(name if value is True else {name: plain(value)})
    return result


def _assertion_of(text: str) -> Any:
    if text.lstrip().startswith(("{", '"')):
        try:
            return json.loads(text)
        except ValueError as error:
            raise ValueError(f"the assertion {text!r} is not JSON: {error}") from None
    name, equals, value = text.partition("=")
    if not equals:
        return name
    try:
        return {name: json.loads(value)}
    except ValueError:
        return {name: value}


def written(assertion: str | Mapping[str, Any]) -> str:
    """Writes an assertion as ``verify`` accepts it."""
    if isinstance(assertion, str):
        return assertion
    for name, value in assertion.items():
        if len(assertion) == 1 and isinstance(value, int):
            return f"{name}={value}"
    return json.dumps(assertion, ensure_ascii=False)
