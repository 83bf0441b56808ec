"""The composed component in wasmtime-py: `python composed.py COMPONENT`."""

import os
import sys

from wasmtime import Engine, Store, WasiConfig
from wasmtime.component import Component, Linker

engine = Engine()
linker = Linker(engine)
linker.add_wasip2()
linker.add_wasi_http()
store = Store(engine)
store.set_wasi(WasiConfig())
store.set_wasi_http()
instance = linker.instantiate(store, Component.from_file(engine, sys.argv[1]))
get_object = instance.get_func(store, "get-object")
status = get_object(store, os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"], os.environ["S3_AUTHORITY"])
assert status == 200, status
print("wasmtime-py: the composed component's request is accepted")
