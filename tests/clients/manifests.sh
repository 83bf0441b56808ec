#!/usr/bin/env bash
# The manifests of the documentation are valid, and the containers of those that put the emulator at
# the addresses of IMDS work: their commands run in a network namespace, with their capabilities.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_with kubernetes-validate==1.37.0 compose-spec==0.2.1
build

# sidecars: validates the manifests and prints the command, the probe and the capabilities of each
# container that runs the emulator with --link-local, one per line, separated by tabs.
sidecars() {
    "$python" - <<'PYTHON'
import pathlib, sys
import compose_spec, kubernetes_validate, yaml

def blocks(path):
    text = pathlib.Path(path).read_text().replace("REGISTRY/", "registry.example/")
    for block in text.split("```yaml\n")[1:]:
        yield block.split("```")[0]

def show(image, arguments, probe, added, dropped):
    assert dropped == ["ALL"], dropped
    if "--link-local" in arguments:
        # The entry point of the image is the command.
        assert image.startswith("registry.example/imds-emulator:"), image
        print(" ".join(["imds-emulator", *arguments]), " ".join(probe), " ".join(added), sep="\t")

pods = 0
for block in blocks("docs/kubernetes.md"):
    for manifest in yaml.safe_load_all(block):
        kubernetes_validate.validate(manifest, "1.37", strict=True)
        if manifest["kind"] != "Pod":
            continue
        for container in manifest["spec"].get("initContainers", []):
            capabilities = container["securityContext"]["capabilities"]
            probe = container["startupProbe"]["exec"]["command"]
            show(container["image"], container.get("args", []), probe, capabilities.get("add", []), capabilities["drop"])
        pods += 1
composes = 0
for block in blocks("emulator/docs/isolated.md"):
    compose_spec.PyCompose.from_yaml(block)
    services = yaml.safe_load(block)["services"]
    # The application has the network of a service that is healthy before it starts.
    network = services["application"]["network_mode"].removeprefix("service:")
    assert services["application"]["depends_on"][network]["condition"] == "service_healthy"
    service = services[network]
    kind, *probe = service["healthcheck"]["test"]
    assert kind == "CMD", kind
    show(service["image"], service["command"], probe, service["cap_add"], service["cap_drop"])
    composes += 1
assert (pods, composes) == (2, 1), (pods, composes)
PYTHON
}

found=$(sidecars)
echo "$client: the manifests are valid"
[ "$(wc -l <<< "$found")" = 2 ]
if ! unshare --user --map-root-user --net true 2> /dev/null; then
    echo "$client: the sidecars were not run, because namespaces are forbidden here"
    exit 77
fi
# shellcheck disable=SC2016
pod='
set -e
read -ra command <<< "$COMMAND"; read -ra probe <<< "$PROBE"
capabilities=-all
for capability in $CAPABILITIES; do capabilities+=,+${capability,,}; done
ip link set lo up
setpriv --bounding-set="$capabilities" --no-new-privs "${command[@]}" > /dev/null &
emulator=$!
for _ in {1..30}; do
    "${probe[@]}" > /dev/null 2>&1 && break
    sleep 0.2
done
for address in 169.254.169.254 "[fd00:ec2::254]"; do
    curl -sS -m 5 -o /dev/null -w "%{http_code}\n" -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" \
        "http://$address/latest/api/token"
done
kill $emulator
wait $emulator
'
while IFS=$'\t' read -r command probe capabilities; do
    answers=$(env -i PATH="$PWD/target/debug:$PATH" COMMAND="$command" PROBE="$probe" CAPABILITIES="$capabilities" \
        unshare --user --map-root-user --net bash -c "$pod" < /dev/null)
    [ "$answers" = $'200\n200' ] || { echo "$client: $command: $answers"; exit 1; }
done <<< "$found"
echo "$client: the application of each sidecar got a token from both addresses"
