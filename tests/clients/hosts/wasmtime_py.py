"""The component in wasmtime-py: `python wasmtime_py.py COMPONENT`."""

import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

from wasmtime import Engine, Store, WasiConfig
from wasmtime.component import Component, Linker, Record

GOLDEN = Path(__file__).parents[2] / "golden"


def agreed(component, engine, file):
    """It imports and exports what the golden files say, and keeps within its size."""
    ty = component.type
    for kind, found in ("imports", ty.imports(engine)), ("exports", ty.exports(engine)):
        golden = (GOLDEN / f"component.{kind}.txt").read_text().splitlines()
        assert sorted(found) == golden, f"{kind}: {sorted(found)}"
    size, budget = Path(file).stat().st_size, int((GOLDEN / "component.size.txt").read_text())
    assert size <= budget, f"{size} bytes, of {budget}"


class Provider:
    def __init__(self, file):
        engine = Engine()
        linker = Linker(engine)
        # All of WASI, because single interfaces cannot be selected here. There is no allow-list of
        # addresses either: restrict the network of the process instead.
        linker.add_wasip2()
        linker.add_wasi_http()
        self.store = Store(engine)
        self.store.set_wasi(WasiConfig())
        self.store.set_wasi_http()
        # A program would store the compiled component: it takes hundreds of times longer to compile it
        # than to load it.
        compiled = Component.from_file(engine, file).serialize()
        component = Component.deserialize(engine, compiled)
        agreed(component, engine, file)
        self.instance = linker.instantiate(self.store, component)

    def function(self, interface, name):
        index = self.instance.get_export_index(self.store, f"imds:credentials/{interface}@0.1.0")
        index = self.instance.get_export_index(self.store, name, index)
        return self.instance.get_func(self.store, index)

    def call(self, interface, name, *arguments):
        function = self.function(interface, name)
        result = function(self.store, *arguments)
        function.post_return(self.store)
        return result

    def configure(self, **options):
        ((_, type),) = self.function("ec2-role", "configure").type(self.store).params
        record = Record()
        for option, _ in type.fields:
            setattr(record, option, options.pop(option.replace("-", "_"), None))
        assert not options, f"no such option: {options}"
        error = self.call("ec2-role", "configure", record)
        assert error is None, error

    def credentials(self):
        credentials = self.call("provider", "get-credentials")
        assert isinstance(credentials, Record), credentials
        return credentials.__dict__


provider = Provider(sys.argv[1])
provider.configure(endpoint=os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"])
first = provider.credentials()
assert first["source"] == "EC2RoleProvider", first["source"]
assert len(first["secret-access-key"]) == 40
assert provider.credentials()["access-key-id"] == first["access-key-id"]

end = time.monotonic() + 30
while (second := provider.credentials())["access-key-id"] == first["access-key-id"]:
    assert time.monotonic() < end, "no rotation within 30 s"
    time.sleep(0.2)
assert second["expires"] > first["expires"]
print(f"wasmtime-py {version('wasmtime')}: credentials, and a rotation")
