"""Calls the function of a composed guest in wasmtime-py: `python sign.py COMPOSED BUCKET REGION`."""

import sys
import time
from importlib.metadata import version
from pathlib import Path

from wasmtime import Engine, Store, WasiConfig
from wasmtime.component import Component, Linker

file, bucket, region = sys.argv[1:]
engine = Engine()

# Compiling takes seconds, loading milliseconds. What one version of wasmtime compiled, another does not load. Keep the
# file where nobody else can write: its machine code runs unchecked.
compiled = Path(file).with_suffix(f".wasmtime-{version('wasmtime')}")
if not compiled.exists() or compiled.stat().st_mtime < Path(file).stat().st_mtime:
    compiled.write_bytes(Component.from_file(engine, file).serialize())
component = Component.deserialize_file(engine, str(compiled))

linker = Linker(engine)
linker.add_wasip2()
linker.add_wasi_http()
store = Store(engine)
store.set_wasi(WasiConfig())
store.set_wasi_http()
# Use the instance for many calls: it holds the credentials.
instance = linker.instantiate(store, component)
headers = instance.get_func(store, "sign")(store, bucket, region, int(time.time()))
if isinstance(headers, str):
    sys.exit(f"error: {headers}")
for name, value in headers:
    print(f"{name}: {value}")
