"""Adds a command that is already compiled to a wheel.

The environment variable ``WHEEL_COMMAND`` names it. Without the variable, cargo compiles it. With
``WHEEL_SBOM``, the wheel contains that software bill of materials as well.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommandHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            # The environment variable IMDS_EMULATOR names the command then.
            return
        name = self.metadata.core.raw_name
        command = os.environ.get("WHEEL_COMMAND") or compiled(name, Path(self.root))
        platform = platform_of(command)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        suffix = ".exe" if platform.startswith("win") else ""
        build_data["shared_scripts"][command] = f"{name}{suffix}"
        sbom = os.environ.get("WHEEL_SBOM")
        if sbom:
            build_data["sbom_files"].append(sbom)


def compiled(name: str, root: Path) -> str:
    """Compiles a command of this workspace for this machine. Returns its path."""
    workspace = root.parents[1]
    options = ["--release", "--locked", "--config", "profile.release.strip=true"]
    subprocess.run(
        ["cargo", "build", *options, "--package", name, "--bin", name], cwd=workspace, check=True
    )
    target = workspace / os.environ.get("CARGO_TARGET_DIR", "target")
    built = target / "release" / name
    return str(built if built.exists() else built.with_suffix(".exe"))


def platform_of(command: str) -> str:
    """The tag of the platforms that a command runs on, by what is in its file."""
    content = Path(command).read_bytes()
    if content.startswith(b"\x7fELF"):
        (machine,) = struct.unpack_from("<H", content, 18)
        name = {0x3E: "x86_64", 0xB7: "aarch64"}.get(machine)
        if name is not None:
            loader = loader_of(content)
            if not loader:
                # It runs with every C library, and any kernel that they run on.
                return f"manylinux_2_17_{name}.manylinux2014_{name}.musllinux_1_1_{name}"
            if b"musl" in loader:
                return f"musllinux_1_2_{name}"
            versions = [int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", content)]
            return f"manylinux_2_{max(17, *versions)}_{name}"
    elif content.startswith(b"\xcf\xfa\xed\xfe"):
        # The oldest versions that Rust supports.
        (machine,) = struct.unpack_from("<I", content, 4)
        name = {0x01000007: "10_12_x86_64", 0x0100000C: "11_0_arm64"}.get(machine)
        if name is not None:
            return f"macosx_{name}"
    elif content.startswith(b"MZ"):
        (header,) = struct.unpack_from("<I", content, 0x3C)
        (machine,) = struct.unpack_from("<H", content, header + 4)
        name = {0x8664: "amd64", 0xAA64: "arm64"}.get(machine)
        if name is not None:
            return f"win_{name}"
    raise ValueError(
        f"{command} is no command for a platform that wheels are made for: Linux, macOS or Windows on "
        "x86-64 or arm64"
    )


def loader_of(elf: bytes) -> bytes:
    """The path of the dynamic loader that a command for Linux needs. Empty if it is static."""
    (at,) = struct.unpack_from("<Q", elf, 0x20)
    size, number = struct.unpack_from("<HH", elf, 0x36)
    for header in range(at, at + size * number, size):
        (kind,) = struct.unpack_from("<I", elf, header)
        if kind == 3:  # PT_INTERP
            (start,) = struct.unpack_from("<Q", elf, header + 8)
            (length,) = struct.unpack_from("<Q", elf, header + 32)
            return elf[start : start + length]
    return b""
