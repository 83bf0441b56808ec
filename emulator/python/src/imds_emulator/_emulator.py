"""Starting and stopping the command ``imds-emulator``."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from ._control import Control
from ._errors import AdminError, StartError
from ._values import Assertion, Verdict, assertions_of, plain

if TYPE_CHECKING:
    # For type checkers only, which know it without an installed package.
    from typing_extensions import Self

#: The environment variable that names the command.
COMMAND = "IMDS_EMULATOR"
#: Variables that make an SDK take its credentials from elsewhere, or not from IMDS.
OTHER_SOURCES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_FILE",
    "AWS_EC2_METADATA_DISABLED",
)
#: Variables that name files with credentials and settings. They name an empty file instead.
FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG")


class Emulator(Control):
    """An emulator of its own, on a free port, until it is stopped.

    ::

        with Emulator(role="web-server") as imds:
            subprocess.run(["aws", "configure", "list"], env=imds.env)
            imds.verify("no_imdsv1")

    It starts at once. It stops at the end of the ``with`` block, with `stop`, when this object is
    garbage, and when this process ends, however it ends.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        *,
        role: str | bool | None = None,
        http_tokens: str | None = None,
        dialect: str | None = None,
        seed: str | None = None,
        settings: Mapping[str, Any] | None = None,
        host: str | Sequence[str] = "127.0.0.1",
        port: int = 0,
        admin_port: int = 0,
        arguments: Sequence[str] = (),
        command: str | os.PathLike[str] | None = None,
        start_timeout: float = 30.0,
    ):
        """Starts the emulator, and waits until it listens.

        ``config``: the configuration as a mapping, or the path of a TOML or JSON file.
        ``role``: the name of the instance's role, or False for an instance without one.
        ``http_tokens``: whether requests need a token: ``"required"`` (default) or ``"optional"``.
        ``dialect``: the generation of instances to answer like: ``"nitro"`` (default) or ``"xen"``.
        ``seed``: a text from which keys, tokens and certificates derive [default: random].
        ``settings``: single keys of the configuration with their values, such as
        ``{"instance.instance-type": "m7g.large"}``.
        ``host``, ``port``, ``admin_port``: where to listen; port 0 chooses a free port.
        ``arguments``: further arguments of the command ``imds-emulator``.
        ``command``: the command [default: what `find_command` finds].
        ``start_timeout``: how many seconds to wait until the emulator listens.

        Environment variables that begin with ``IMDS_EMULATOR_`` configure the emulator, too; the
        keyword arguments take precedence, and ``config`` does not.
        """
        command = os.fspath(command) if command is not None else find_command()
        line = [command, "--stop-with-stdin", "--port", str(port), "--admin-port", str(admin_port)]
        for address in [host] if isinstance(host, str) else host:
            line += ["--host", address]
        for key, value in (settings or {}).items():
            line += ["--set", f"{key}={_toml(value)}"]
        if role is False:
            line += ["--no-role"]
        elif role is True:
            raise ValueError("role is True; accepted: the name of a role, or False for none")
        for flag, text in (
            ("--role", role if isinstance(role, str) else None),
            ("--http-tokens", http_tokens),
            ("--dialect", dialect),
            ("--seed", seed),
        ):
            if text is not None:
                # As one argument, because the value may begin with a hyphen.
                line += [f"{flag}={text}"]
        with tempfile.TemporaryDirectory(prefix="imds-emulator-") as folder:
            replaced: tuple[str, str] = ("", "")
            if isinstance(config, Mapping):
                file = Path(folder, "config.json")
                file.write_text(json.dumps(_absolute(plain(config))), encoding="utf-8")
                replaced = (str(file), "config")
                line += ["--config", str(file)]
            elif config is not None:
                line += ["--config", os.fspath(config)]
            process, errors = _start([*line, *arguments])
            try:
                ready = _ready(process, errors, start_timeout, replaced)
            except BaseException:
                _stop(process, errors)
                raise
        super().__init__(ready["admin"] or "http://127.0.0.1:1339")
        self._process = process
        self._errors = errors
        self._ready = ready
        self._expected: list[Any] = []
        self._stop = weakref.finalize(self, _stop, process, errors)

    @property
    def url(self) -> str:
        """The URL of the metadata service."""
        return str(self._ready["metadata"])

    @property
    def urls(self) -> list[str]:
        """The URLs of the metadata service: one for each host that it listens on."""
        return list(self._ready["listening"])

    @property
    def pid(self) -> int:
        """The ID of the emulator's process."""
        return self._process.pid

    @property
    def variables(self) -> dict[str, str | None]:
        """The environment variables that point AWS SDKs to the emulator, and nowhere else. None stands
        for a variable that must not be set.
        """
        variables: dict[str, str | None] = dict.fromkeys(OTHER_SOURCES)
        variables.update(dict.fromkeys(FILES, os.devnull))
        variables["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"{self.url}/"
        is_ipv6 = "[" in self.url
        variables["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"] = "IPv6" if is_ipv6 else "IPv4"
        variables["IMDS_EMULATOR_ADMIN_URL"] = self.admin_url
        proxies = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
        if any(os.environ.get(name) for name in proxies):
            host = self.url[len("http://") :].rpartition(":")[0].strip("[]")
            before = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
            variables["no_proxy"] = variables["NO_PROXY"] = f"{before},{host}" if before else host
        return variables

    @property
    def env(self) -> dict[str, str]:
        """The environment of this process, changed so that AWS SDKs in a subprocess use the emulator
        and no other source of credentials.
        """
        env = dict(os.environ)
        for name, value in self.variables.items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = value
        return env

    def expect(self, *assertions: Assertion, **named: Any) -> None:
        """States what must hold at the end: of the ``with`` block or, with the pytest fixture, of the
        test. The assertions are those of `verify`.
        """
        expected = assertions_of(assertions, named)
        # The emulator reads them now, because a misspelt assertion is an error of this line.
        self._verdicts(expected)
        self._expected += expected

    def check_expectations(self) -> list[Verdict]:
        """Checks what `expect` stated. Raises `ExpectationError` if an assertion does not hold."""
        return self._verified(self._expected) if self._expected else []

    def stop(self) -> None:
        """Stops the emulator. Does nothing if it has stopped."""
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.check_expectations()
        finally:
            self.stop()

    def __repr__(self) -> str:
        state = "" if self._stop.alive and self._process.poll() is None else ", stopped"
        return f"<Emulator at {self.url}{state}>"

    def _unreachable(self, error: Exception) -> AdminError:
        if not self._stop.alive:
            return AdminError("the emulator has been stopped")
        if self._ready["admin"] is None:
            return AdminError(
                "the emulator has no admin API, because it was started with --no-admin"
            )
        try:
            status = self._process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            return super()._unreachable(error)
        return AdminError(f"the emulator has ended with status {status}{_printed(self._errors)}")


def find_command() -> str:
    """The path of the command ``imds-emulator``.

    It is what the environment variable ``IMDS_EMULATOR`` names, the command that this package was
    installed with, or the command of this name in ``PATH``. Raises `StartError` if there is none.
    """
    named = os.environ.get(COMMAND)
    if named:
        found = shutil.which(named)
        if found is None:
            raise StartError(
                f"the environment variable {COMMAND} names {named!r}, which cannot be executed"
            )
        return str(Path(found).absolute())
    file = "imds-emulator" + (sysconfig.get_config_var("EXE") or "")
    module = Path(__file__).resolve().parent
    user = sysconfig.get_path("scripts", f"{os.name}_user")
    # `pip install --target FOLDER` puts commands into FOLDER/bin.
    folders = [
        sysconfig.get_path("scripts"),
        user,
        str(Path(sys.executable).parent),
        str(module.parent / "bin"),
    ]
    for folder in folders:
        found = shutil.which(file, path=folder)
        if found is not None:
            return found
    found = shutil.which(file)
    if found is None:
        places = ", ".join(dict.fromkeys(folders))
        raise StartError(
            f"the command imds-emulator is neither in {places} nor in PATH. Install it with "
            f"`pip install imds-emulator`, or name it in the environment variable {COMMAND}"
        )
    return found


def _start(line: list[str]) -> tuple[subprocess.Popen[str], IO[bytes]]:
    # A file, because nobody reads a pipe while the emulator runs.
    errors = tempfile.TemporaryFile()  # noqa: SIM115 (`_stop` closes it)
    try:
        process = subprocess.Popen(
            line,
            # The emulator stops when this pipe closes. The kernel closes it when this process dies.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            # A Ctrl-C in the terminal is for the tests. They may ask the emulator while they end.
            **_own_group(),
        )
    except OSError as error:
        errors.close()
        raise StartError(f"cannot execute {line[0]!r}: {error}") from error
    return process, errors


def _own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _ready(
    process: subprocess.Popen[str], errors: IO[bytes], timeout: float, replaced: tuple[str, str]
) -> dict[str, Any]:
    """Reads the ready line."""
    lines: queue.Queue[str] = queue.Queue()
    stdout = process.stdout
    assert stdout is not None

    def read() -> None:
        lines.put(stdout.readline())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        line = lines.get(timeout=timeout)
    except queue.Empty:
        process.kill()
        raise StartError(
            f"the emulator did not listen within {timeout:g} s{_printed(errors)}"
        ) from None
    try:
        ready = json.loads(line)
        return {key: ready[key] for key in ("metadata", "listening", "admin")}
    except (ValueError, KeyError, TypeError):
        pass
    try:
        status = str(process.wait(timeout=5))
    except subprocess.TimeoutExpired:
        status = "none"
    printed = _printed(errors).replace(*replaced) if replaced[0] else _printed(errors)
    if line:
        printed += f"; its ready line is {line[:200]!r}"
    raise StartError(f"the emulator did not start (exit status {status}){printed}")


def _printed(errors: IO[bytes]) -> str:
    """What the emulator printed to standard error."""
    if errors.closed:
        return ""
    errors.seek(0)
    text = errors.read().decode(errors="replace").strip()
    return f": {text}" if text else ""


def _stop(process: subprocess.Popen[str], errors: IO[bytes]) -> None:
    # In a forked process, this does nothing: the emulator is not a child of that.
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for file in (process.stdin, process.stdout, errors):
        if file is not None:
            file.close()


def _absolute(config: Any) -> Any:
    """Makes the names of files absolute. The emulator takes them as relative to the configuration file."""
    if isinstance(config, dict):
        if list(config) == ["file"] and isinstance(config["file"], str):
            return {"file": str(Path(config["file"]).absolute())}
        return {key: _absolute(value) for key, value in config.items()}
    if isinstance(config, list):
        return [_absolute(value) for value in config]
    return config


def _toml(value: Any) -> str:
    """Writes a value as TOML."""
    value = plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{_toml(str(key))} = {_toml(each)}" for key, each in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        # JSON's escapes are TOML's, except for DEL, which TOML does not allow as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (int, float)):
        return repr(value)
    raise TypeError(
        f"a setting is {value!r}; accepted: texts, numbers, booleans, lists, mappings and times"
    )
