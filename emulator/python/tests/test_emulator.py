"""Starting and stopping emulators."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import boto3
import pytest

from imds_emulator import AdminError, Emulator, ExpectationError, StartError, find_command

KEY = "import boto3; print(boto3.Session().get_credentials().access_key)"


def is_alive(pid: int) -> bool:
    """Whether a process runs. A zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def ends(pid: int) -> bool:
    """Whether a process ends soon."""
    for _ in range(200):
        if not is_alive(pid):
            return True
        time.sleep(0.05)
    return False


def test_a_subprocess_gets_credentials_and_finds_no_other_source(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = tmp_path / "credentials"
    settings.write_text("[default]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = other\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(settings))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    monkeypatch.setenv("AWS_PROFILE", "other")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-c", KEY], env=emulator.env, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("ASIA")
    assert emulator.count(path="**/security-credentials/web-server", status=200) == 1
    assert os.environ["AWS_PROFILE"] == "other"


def test_proxies_of_the_environment_stay_except_for_the_emulator(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert "NO_PROXY" not in emulator.variables
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert emulator.variables["NO_PROXY"] == "127.0.0.1"
    monkeypatch.setenv("NO_PROXY", "example.com")
    assert emulator.variables["no_proxy"] == "example.com,127.0.0.1"


def test_configuration_by_mapping_by_file_and_by_keyword(tmp_path: Path) -> None:
    (tmp_path / "user-data").write_text("hello")
    config = {"instance": {"instance-type": "m7g.large", "iam": {"role": "from-mapping"}}}
    with Emulator(config, settings={"instance.tags": {"a.b": 'c"=\\ü'}}) as imds:
        instance = imds.instance()
        assert instance["instance-type"] == "m7g.large"
        assert instance["iam"]["role"] == "from-mapping"
        assert instance["tags"] == {"a.b": 'c"=\\ü'}
        assert imds.options()["HttpTokens"] == "required"
    file = tmp_path / "imds.toml"
    file.write_text("instance.instance-type = 'm7g.large'\ninstance.iam.role = 'from-file'")
    with Emulator(file, http_tokens="optional", dialect="xen") as imds:
        assert imds.instance()["iam"]["role"] == "from-file"
        assert imds.options()["HttpTokens"] == "optional"
    with Emulator(file, role="-from-keyword") as imds:
        assert imds.instance()["iam"]["role"] == "-from-keyword"
    with Emulator(file, role=False) as imds:
        assert imds.instance()["iam"] is False


def test_files_in_a_mapping_are_relative_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "script").write_text("hello")
    monkeypatch.chdir(tmp_path)
    with Emulator({"instance": {"user-data": {"file": "script"}}}, http_tokens="optional") as imds:
        answer = request(imds.url, "/latest/user-data")
        assert answer.endswith("\r\n\r\nhello")


def request(url: str, path: str) -> str:
    """The response to a request without a token."""
    host, _, port = url[len("http://") :].rpartition(":")
    with socket.create_connection((host, int(port))) as stream:
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: imds\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := stream.recv(65536):
            answer += part
    return answer.decode()


def test_the_same_seed_gives_the_same_credentials() -> None:
    keys = set()
    for _ in range(2):
        with Emulator(seed="same") as imds:
            imds.freeze()
            run = subprocess.run(
                [sys.executable, "-c", KEY],
                env=imds.env,
                capture_output=True,
                text=True,
                check=True,
            )
            keys.add(run.stdout[:8])
    assert len(keys) == 1


def test_an_invalid_configuration_is_an_error_with_all_that_is_wrong() -> None:
    with pytest.raises(StartError) as error:
        Emulator({"instance": {"instance-typ": "x", "iam": {"role": "a b"}}})
    message = str(error.value)
    assert "config: instance.instance-typ: unknown field `instance-typ`" in message
    assert 'config: instance.iam.role: "a b" is not accepted' in message
    assert "config.json" not in message
    with pytest.raises(StartError, match="no-such-file"):
        Emulator("no-such-file.toml")
    with pytest.raises(ValueError, match="role is True"):
        Emulator(role=True)
    with pytest.raises(TypeError, match="a setting is None"):
        Emulator(settings={"instance.instance-type": None})
    with pytest.raises(StartError, match="unexpected argument '--no-such-option'"):
        Emulator(arguments=["--no-such-option"])


def test_a_port_in_use_is_an_error(emulator: Emulator) -> None:
    port = int(emulator.url.rpartition(":")[2])
    with pytest.raises(StartError, match=rf"exit status 1.*127\.0\.0\.1:{port}"):
        Emulator(port=port)


def test_a_command_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StartError, match="cannot execute '/no/such/command'"):
        Emulator(command="/no/such/command")
    monkeypatch.setenv("IMDS_EMULATOR", "/no/such/command")
    with pytest.raises(StartError, match="IMDS_EMULATOR names '/no/such/command'"):
        find_command()
    monkeypatch.delenv("IMDS_EMULATOR")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sysconfig.get_path", lambda *_: "/nowhere")
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(StartError, match="pip install imds-emulator"):
        find_command()


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_a_command_that_is_no_emulator_is_an_error(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho hello; echo more >&2; exit 3\n")
    other.chmod(0o755)
    with pytest.raises(StartError, match=r"exit status 3\): more; its ready line is 'hello"):
        Emulator(command=other)
    other.write_text("#!/bin/sh\necho thinking >&2; exec sleep 60\n")
    with pytest.raises(StartError, match=r"did not listen within 0.5 s: thinking"):
        Emulator(command=other, start_timeout=0.5)


def test_it_stops_at_the_end_of_the_block_and_then_says_so() -> None:
    with Emulator() as imds:
        assert repr(imds) == f"<Emulator at {imds.url}>"
        assert is_alive(imds.pid)
        began = time.monotonic()
    assert not is_alive(imds.pid)
    assert time.monotonic() - began < 8
    assert repr(imds) == f"<Emulator at {imds.url}, stopped>"
    with pytest.raises(AdminError, match="the emulator has been stopped"):
        imds.rotate()
    imds.stop()


def test_an_emulator_that_ended_by_itself_is_an_error(emulator: Emulator) -> None:
    os.kill(emulator.pid, signal.SIGKILL)
    with pytest.raises(AdminError, match="the emulator has ended with status -9"):
        emulator.rotate()


def test_it_stops_when_nothing_refers_to_it() -> None:
    imds = Emulator()
    pid = imds.pid
    del imds
    assert ends(pid)


@pytest.mark.parametrize("end", ["pass", "os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_it_does_not_outlive_the_interpreter(python: Callable[..., str], end: str) -> None:
    pid = python(f"""
        import os, signal
        from imds_emulator import Emulator
        imds = Emulator()
        print(imds.pid, flush=True)
        {end}
    """)
    assert ends(int(pid))


def test_it_outlives_the_thread_that_started_it() -> None:
    started = []
    thread = Thread(target=lambda: started.append(Emulator()))
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert started[0].health() == "ok"
    started[0].stop()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_does_not_stop_it(emulator: Emulator, python: Callable[..., str]) -> None:
    output = python("""
        import os, sys
        from imds_emulator import Emulator
        with Emulator() as imds:
            child = os.fork()
            if child == 0:
                sys.exit(0)
            os.waitpid(child, 0)
            print(imds.health())
            print(imds.pid)
    """)
    health, pid = output.split()
    assert health == "ok"
    assert ends(int(pid))


def test_ctrl_c_is_left_to_the_tests(emulator: Emulator) -> None:
    assert os.getpgid(emulator.pid) != os.getpgid(0)


def test_expectations_are_checked_at_the_end_of_the_block() -> None:
    with pytest.raises(ExpectationError) as error, Emulator() as imds:
        imds.expect("no_imdsv1", min_requests={"min": 1})
        with pytest.raises(AdminError, match="no_imdsv2"):
            imds.expect("no_imdsv2")
    assert str(error.value).splitlines() == [
        "1 assertion about the requests does not hold",
        "holds  no_imdsv1: 0 of 0 requests had no token",
        'FAILS  {"min_requests": {"min": 1, "of": {}}}: 0 requests',
    ]
    # The error of the block is what matters.
    with pytest.raises(KeyError), Emulator() as imds:
        imds.expect(min_requests={"min": 1})
        raise KeyError
    with Emulator() as imds:
        imds.expect("no_imdsv1", max_token_puts=0)


def test_python_m_is_the_command(emulator: Emulator) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "imds_emulator", "ctl", "health"],
        env=emulator.env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "ok\n"


def test_emulators_are_independent() -> None:
    with Emulator(role="one") as one, Emulator(role="two") as two:
        one.fault("outage", "status", code=503)
        assert [rule.name for rule in one.rules()] == ["outage"]
        assert two.rules() == []
        assert one.url != two.url


def test_without_an_admin_api_only_the_metadata_service_is_there() -> None:
    with (
        Emulator(arguments=["--set", "admin.enabled=false"]) as imds,
        pytest.raises(AdminError) as error,
    ):
        imds.rotate()
    assert "no admin API" in str(error.value)


def test_the_session_of_boto3_gets_rotated_credentials(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in emulator.variables.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    first = boto3.Session().get_credentials()
    emulator.rotate()
    second = boto3.Session().get_credentials()
    assert first and second
    assert first.access_key != second.access_key
    assert json.loads(json.dumps(emulator.journal()[0].raw))["number"] == 1
