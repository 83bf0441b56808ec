"""Wheels of a command."""

import importlib.util
import struct
from importlib.metadata import PackageNotFoundError, files, metadata
from pathlib import Path
from types import ModuleType

import pytest

BUILD = Path(__file__).resolve().parents[1] / "hatch_build.py"


@pytest.fixture
def hook() -> ModuleType:
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", BUILD)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def elf(machine: int, loader: bytes = b"", rest: bytes = b"") -> bytes:
    """The file of a command with two program headers, of which the second can name a loader."""
    start, size = 0x40, 0x38
    head = b"\x7fELF".ljust(18, b"\0") + struct.pack("<H", machine)
    head = head.ljust(0x20, b"\0") + struct.pack("<Q", start)
    head = head.ljust(0x36, b"\0") + struct.pack("<HH", size, 2 if loader else 1)
    first = struct.pack("<IIQQQQ", 1, 0, 0, 0, 0, 9).ljust(size, b"\0")
    second = struct.pack("<IIQQQQ", 3, 0, start + 2 * size, 0, 0, len(loader)).ljust(size, b"\0")
    return head.ljust(start, b"\0") + first + second + loader + rest


def portable(machine: int) -> bytes:
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x80)
    return head.ljust(0x80, b"\0") + b"PE\0\0" + struct.pack("<H", machine)


@pytest.mark.parametrize(
    ("content", "platform"),
    [
        (elf(0x3E), "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64"),
        (elf(0xB7), "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64"),
        (
            elf(0x3E, b"/lib64/ld-linux-x86-64.so.2\0", b"GLIBC_2.9\0GLIBC_2.34\0"),
            "manylinux_2_34_x86_64",
        ),
        (elf(0xB7, b"/lib/ld-linux-aarch64.so.1\0", b"GLIBC_2.2\0"), "manylinux_2_17_aarch64"),
        (elf(0x3E, b"/lib/ld-musl-x86_64.so.1\0"), "musllinux_1_2_x86_64"),
        (
            elf(0x3E, rest=b"/ld-linux-"),
            "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64",
        ),
        (b"\xcf\xfa\xed\xfe" + struct.pack("<I", 0x0100000C), "macosx_11_0_arm64"),
        (b"\xcf\xfa\xed\xfe" + struct.pack("<I", 0x01000007), "macosx_10_12_x86_64"),
        (portable(0x8664), "win_amd64"),
        (portable(0xAA64), "win_arm64"),
    ],
)
def test_the_file_decides_for_which_platform_a_wheel_is(
    hook: ModuleType, tmp_path: Path, content: bytes, platform: str
) -> None:
    command = tmp_path / "command"
    command.write_bytes(content)
    assert hook.platform_of(str(command)) == platform


@pytest.mark.parametrize("content", [b"#!/bin/sh\n", elf(0xF3), portable(0x14C)])
def test_a_file_for_another_platform_is_an_error(
    hook: ModuleType, tmp_path: Path, content: bytes
) -> None:
    command = tmp_path / "command"
    command.write_bytes(content)
    with pytest.raises(ValueError, match="command is no command for a platform"):
        hook.platform_of(str(command))


def test_the_wheel_has_the_command_the_module_and_the_licences() -> None:
    try:
        names = {Path(str(file)).name for file in files("imds-emulator") or []}
    except PackageNotFoundError:
        pytest.skip("the package is not installed")
    assert {"imds-emulator", "py.typed", "LICENSE-APACHE", "LICENSE-MIT"} <= names
    described = metadata("imds-emulator")
    assert described["License-Expression"] == "MIT OR Apache-2.0"
    assert described["Requires-Python"] == ">=3.9"
    assert described.get_all("Requires-Dist") is None
