"""The admin API of a running emulator."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from ._errors import AdminError, ExpectationError
from ._values import (
    Assertion,
    Duration,
    Exchange,
    Moment,
    Rule,
    Step,
    Verdict,
    assertions_of,
    hyphenated,
    moment_of,
    plain,
)

if TYPE_CHECKING:
    # For type checkers only, which know it without an installed package.
    from typing_extensions import Self


class Control:
    """Controls a running emulator over its admin API, as ``imds-emulator ctl`` does.

    Use it for an emulator that something else has started, such as one in a container. `Emulator` has
    the same methods for an emulator that it starts itself.

    In keyword arguments, ``_`` stands for ``-``: ``retry_after`` is the key ``retry-after``. Keys in
    mappings are written as in the configuration.
    """

    def __init__(self, admin_url: str):
        """``admin_url`` is the URL of the admin API, as in the emulator's ready line."""
        parts = urlsplit(admin_url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(
                f"the URL of the admin API is {admin_url!r}; accepted: http://ADDRESS:PORT, as in the "
                "emulator's ready line"
            )
        self._admin_url = admin_url.rstrip("/")
        self._address = (parts.hostname, parts.port or 80)

    @property
    def admin_url(self) -> str:
        """The URL of the admin API."""
        return self._admin_url

    # Faults

    def fault(
        self,
        name: str,
        kind: str,
        /,
        *,
        on: str | None = None,
        times: int | None = None,
        match: Mapping[str, Any] | None = None,
        when: Mapping[str, Any] | None = None,
        priority: int | None = None,
        **parameters: Any,
    ) -> Fault:
        """Injects a fault, until it is removed or its limits are reached.

        ``name`` is the name of its rule, ``kind`` the type of the fault, such as ``status``, and the
        other keyword arguments are the fault's parameters. ``on`` is a glob that the path of a
        request must match, ``times`` the number of requests after which the rule stops. ``match`` and
        ``when`` have further conditions and limits.

        ::

            with imds.fault("outage", "status", code=503, on="/latest/api/token", times=3):
                ...

        The result removes the fault at the end of a ``with`` block, or with ``remove()``.
        """
        rule: dict[str, Any] = {"name": name, "fault": {"type": kind, **hyphenated(parameters)}}
        conditions = dict(match or {})
        if on is not None:
            conditions["path"] = on
        limits = dict(when or {})
        if times is not None:
            limits["count"] = times
        for key, value in (("match", conditions), ("when", limits)):
            if value:
                rule[key] = value
        if priority is not None:
            rule["priority"] = priority
        return self.add_rule(rule)

    def add_rule(self, rule: Mapping[str, Any]) -> Fault:
        """Adds a fault rule: ``name``, ``fault``, ``match``, ``when`` and ``priority``."""
        added = self.request("POST", "faults", rule)
        return Fault(self, added["name"])

    def put_rule(self, rule: Mapping[str, Any]) -> Fault:
        """Adds a fault rule, or replaces the one with the same name."""
        put = self.request("PUT", f"faults/{_segment(str(rule.get('name', '')))}", rule)
        return Fault(self, put["name"])

    def replace_rules(self, rules: Sequence[Mapping[str, Any]]) -> list[Rule]:
        """Replaces all fault rules with these."""
        return [Rule.of(raw) for raw in self.request("PUT", "faults", rules)]

    def rules(self) -> list[Rule]:
        """The fault rules in the order in which the emulator evaluates them."""
        return [Rule.of(raw) for raw in self.request("GET", "faults")]

    def rule(self, name: str) -> Rule:
        """A fault rule."""
        return Rule.of(self.request("GET", f"faults/{_segment(name)}"))

    def remove_fault(self, name: str) -> None:
        """Removes the fault rule with this name."""
        self.request("DELETE", f"faults/{_segment(name)}")

    def clear_faults(self) -> None:
        """Removes all fault rules."""
        self.request("DELETE", "faults")

    # Presets

    def preset(self, name: str) -> Preset:
        """Applies a preset, a common failure, such as ``imds-outage``: adds its rules, or announces
        its event. The result removes it at the end of a ``with`` block, or with ``remove()``.
        """
        self.request("POST", f"presets/{_segment(name)}")
        return Preset(self, name)

    def presets(self) -> dict[str, str]:
        """The names of the presets, each with what it does."""
        return {raw["name"]: raw["description"] for raw in self.request("GET", "presets")}

    def remove_preset(self, name: str) -> None:
        """Removes the rules or the event of a preset."""
        self.request("DELETE", f"presets/{_segment(name)}")

    # The clock

    def now(self) -> datetime:
        """The time on the emulator's clock."""
        return moment_of(self.request("GET", "clock")["now"])

    def is_running(self) -> bool:
        """Whether the emulator's clock runs, or is frozen."""
        return bool(self.request("GET", "clock")["running"])

    def advance(self, by: Duration) -> datetime:
        """Moves the clock forward, such as ``"6h"``, or back, such as ``"-5m"``. Returns the time."""
        return moment_of(self.request("POST", "clock/advance", {"by": by})["now"])

    def set_clock(self, to: Moment) -> datetime:
        """Sets the clock. Returns the time."""
        return moment_of(self.request("PATCH", "clock", {"now": to})["now"])

    def freeze(self) -> datetime:
        """Stops the clock. Returns the time."""
        return moment_of(self.request("PATCH", "clock", {"running": False})["now"])

    def unfreeze(self) -> datetime:
        """Lets the clock run from where it stands. Returns the time."""
        return moment_of(self.request("PATCH", "clock", {"running": True})["now"])

    # The instance

    def instance(self) -> dict[str, Any]:
        """The instance, as in the configuration."""
        return _object(self.request("GET", "instance"))

    def change_instance(
        self, patch: Mapping[str, Any] | None = None, **keys: Any
    ) -> dict[str, Any]:
        """Changes the instance by a JSON merge patch, by keyword arguments, or by both."""
        return _object(self.request("PATCH", "instance", {**(patch or {}), **hyphenated(keys)}))

    def options(self) -> dict[str, Any]:
        """The metadata options."""
        return _object(self.request("GET", "metadata-options"))

    def change_options(self, **options: Any) -> dict[str, Any]:
        """Changes metadata options, such as ``HttpTokens="optional"``."""
        return _object(self.request("PATCH", "metadata-options", options))

    def events(self) -> dict[str, Any]:
        """The events that are announced to the instance."""
        return _object(self.request("GET", "events"))

    def announce(self, patch: Mapping[str, Any] | None = None, **events: Any) -> dict[str, Any]:
        """Announces events, such as ``rebalance_recommendation={}``, or withdraws them with None."""
        return _object(self.request("PATCH", "events", {**(patch or {}), **hyphenated(events)}))

    def clear_events(self) -> None:
        """Withdraws all events."""
        self.request("DELETE", "events")

    def rotate(self) -> None:
        """Issues new credentials for the role now."""
        self.request("POST", "credentials/rotate")

    def revoke_tokens(self) -> None:
        """Revokes all tokens that were issued so far."""
        self.request("POST", "tokens/revoke")

    # Timeline and scenarios

    def timeline(self) -> list[Step]:
        """The steps of the timeline, and their states."""
        return [Step.of(raw) for raw in self.request("GET", "timeline")]

    def set_timeline(self, steps: Sequence[Mapping[str, Any]]) -> list[Step]:
        """Replaces all steps. Their times count from now."""
        return [Step.of(raw) for raw in self.request("PUT", "timeline", steps)]

    def take_step(self, name: str) -> None:
        """Runs the actions of a step now, even if it is not due."""
        self.request("POST", f"timeline/{_segment(name)}")

    def clear_timeline(self) -> None:
        """Removes all steps."""
        self.request("DELETE", "timeline")

    def scenario(self, name: str) -> str:
        """The state of a scenario, which rules can depend on."""
        return str(self.request("GET", f"scenarios/{_segment(name)}/state")["state"])

    def set_scenario(self, name: str, state: str) -> None:
        """Sets the state of a scenario."""
        self.request("PUT", f"scenarios/{_segment(name)}/state", {"state": state})

    # The journal

    def journal(self, **filters: Any) -> list[Exchange]:
        """The requests that match all filters, oldest first.

        The filters are ``path`` and ``user_agent`` (globs), ``method``, ``imds`` (``v1`` or ``v2``),
        ``token`` (``none``, ``valid``, ``expired`` or ``invalid``), ``status``, ``outcome``,
        ``rule``, ``client``, ``process``, ``since`` and ``limit``.
        """
        found = self.request("POST", "requests/find", hyphenated(filters))
        return [Exchange.of(raw) for raw in found["exchanges"]]

    def count(self, **filters: Any) -> int:
        """The number of requests that match all filters, which are those of `journal`."""
        return int(self.request("POST", "requests/count", hyphenated(filters))["count"])

    def follow(self) -> Iterator[Exchange]:
        """Receives each exchange from now on when it ends, until the emulator stops."""
        connection, response = self._send("GET", "requests/stream", None, timeout=None)
        return _events(connection, response)

    def clear_journal(self) -> None:
        """Forgets all exchanges."""
        self.request("DELETE", "requests")

    def packets(self) -> dict[str, Any]:
        """The packets that clients sent to IMDS. Needs ``journal.packets``, and a network that is
        the emulator's, as with ``--link-local``.
        """
        return _object(self.request("GET", "packets"))

    def verdicts(self, *assertions: Assertion, **named: Any) -> list[Verdict]:
        """Checks assertions about the requests so far, without raising an error if they fail."""
        return self._verdicts(assertions_of(assertions, named))

    def verify(self, *assertions: Assertion, **named: Any) -> list[Verdict]:
        """Checks assertions about the requests so far. Raises `ExpectationError` if one fails.

        An assertion is a name (``"no_imdsv1"``), ``"NAME=VALUE"``, JSON, a mapping, or a keyword
        argument::

            imds.verify("no_imdsv1", max_token_puts=1, min_requests={"min": 1, "of": {"status": 200}})
        """
        return self._verified(assertions_of(assertions, named))

    def _verdicts(self, assertions: Sequence[Any]) -> list[Verdict]:
        report = self.request("POST", "requests/verify", assertions)
        return [Verdict.of(raw) for raw in report["verdicts"]]

    def _verified(self, assertions: Sequence[Any]) -> list[Verdict]:
        verdicts = self._verdicts(assertions)
        if not all(verdict.holds for verdict in verdicts):
            raise ExpectationError(verdicts)
        return verdicts

    # The emulator

    def reset(self) -> None:
        """Restores the configuration that the emulator started with, and clears the journal. The
        clock, tokens and credentials stay.
        """
        self.request("POST", "reset")

    def metrics(self) -> str:
        """Counters in the text format of Prometheus."""
        return str(self.request("GET", "metrics"))

    def health(self) -> str:
        """``ok`` if the emulator is alive."""
        return str(self.request("GET", "health")["status"])

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | Sequence[Any] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        """Sends any request to the admin API, which ``/__admin/openapi.json`` describes.

        ``path`` is relative to ``/__admin/``. Returns the JSON or the text of the response, or None if
        there is no body. Raises `AdminError` if the status is not 2xx.
        """
        if query:
            path = f"{path}?{urlencode(query)}"
        connection, response = self._send(method, path, body, timeout=60.0)
        with closing(connection):
            content = response.read()
            if not content:
                return None
            if response.headers.get_content_type() == "application/json":
                return json.loads(content)
            return content.decode()

    def _send(
        self, method: str, path: str, body: Any, timeout: float | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        if not path.startswith("/__admin/"):
            path = f"/__admin/{path.lstrip('/')}"
        headers = {}
        content = None
        if body is not None:
            content = json.dumps(plain(body)).encode()
            headers["Content-Type"] = "application/json"
        # A connection of its own for each request: threads and forked processes need no lock then. No
        # proxy of the environment is used.
        connection = http.client.HTTPConnection(*self._address, timeout=timeout)
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            if not 200 <= response.status < 300:
                raise _rejected(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from error
        except BaseException:
            connection.close()
            raise
        return connection, response

    def _unreachable(self, error: Exception) -> AdminError:
        return AdminError(f"cannot reach the admin API at {self._admin_url}: {error}")


class _Removable:
    """Something that a ``with`` block removes at its end."""

    def __init__(self, control: Control, name: str):
        self._control = control
        #: The name.
        self.name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.remove()
        except AdminError as problem:
            # It may have been removed by other means, such as `ttl`, `clear_faults` or `reset`. If the block
            # failed, its error matters more.
            if problem.status != 404 and error is None:
                raise

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def remove(self) -> None:
        raise NotImplementedError


class Fault(_Removable):
    """A fault that was injected."""

    @property
    def applied(self) -> int:
        """The number of requests that the fault has applied to."""
        return self._control.rule(self.name).applied

    def remove(self) -> None:
        """Removes the fault."""
        self._control.remove_fault(self.name)


class Preset(_Removable):
    """A preset that was applied."""

    def remove(self) -> None:
        """Removes the rules or the event of the preset."""
        self._control.remove_preset(self.name)


def _segment(name: str) -> str:
    return quote(name, safe="")


def _object(value: Any) -> dict[str, Any]:
    return dict(value)


def _rejected(status: int, body: bytes) -> AdminError:
    """The error that a response reports."""
    try:
        problem = json.loads(body)
        detail, field = problem["detail"], problem.get("field")
    except (ValueError, KeyError, TypeError):
        return AdminError(f"the server is not an admin API: it answered {status}", status)
    if field and not detail.startswith(field):
        detail = f"{field}: {detail}"
    return AdminError(f"{detail} ({status})", status, field)


def _events(
    connection: http.client.HTTPConnection, response: http.client.HTTPResponse
) -> Iterator[Exchange]:
    """Reads server-sent events."""
    with closing(connection):
        while True:
            try:
                line = response.readline()
            except (OSError, http.client.HTTPException):
                return
            if not line:
                return
            if line.startswith(b"data:"):
                yield Exchange.of(json.loads(line[len(b"data:") :]))
