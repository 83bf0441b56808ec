# The clients of conformance.sh that CI leaves out. It sources this file.

# packages VENV INTERPRETER PACKAGE...: installs packages into a virtual environment of this name.
packages() {
    local folder=$clients/$client-$1 interpreter=$2
    shift 2
    if [ "$(cat "$folder/installed" 2> /dev/null)" != "$*" ]; then
        "$interpreter" -m venv "$folder" && "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" ||
            because "its packages cannot be installed"
        echo "$*" > "$folder/installed"
    fi
}

# python_312: an interpreter of Python 3.12 or later, which one client needs.
python_312() {
    local python
    for python in python3.13 python3.12 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[23]*/bin/python; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2> /dev/null; then
            echo "$python"
            return
        fi
    done
    because "Python 3.12 is not installed"
}

python_packages=(aiobotocore==3.10.0 awscrt==0.38.1 minio==7.2.20 obstore==0.12.1 opendal==0.47.12
    pyarrow==26.0.1 pyogrio==0.13.0)

set_up_python_packages() {
    packages more python3 "${python_packages[@]}"
}

set_up_aws_credentials_imds() {
    local python
    python=$(python_312) || exit 1
    packages preview "$python" aws-credentials-imds==0.4.0
}

go_sdks=(golang-1.26-go golang-1.26-src golang-github-aws-aws-sdk-go-dev golang-github-aws-aws-sdk-go-v2-dev
    golang-github-aws-smithy-go-dev golang-github-jmespath-go-jmespath-dev golang-golang-x-net-dev
    golang-golang-x-text-dev)

set_up_go_sdks() {
    sid_with go-sid "${go_sdks[@]}" || because "packages of Debian's newest suite cannot be unpacked"
    local root=$clients/$client/go-sid
    for driver in go go-v1; do
        env GOROOT="$root/usr/lib/go-1.26" GO111MODULE=off GOPATH="$root/usr/share/gocode" GOFLAGS= \
            GOTOOLCHAIN=local GOCACHE="$clients/go/cache-sid" \
            "$root/usr/lib/go-1.26/bin/go" build -o "$root/$driver" "$drivers/$driver/main.go" ||
            because "it does not compile"
    done
}

ruby_gems=(ruby-aws-sdk-core ruby-aws-partitions ruby-aws-sigv4 ruby-aws-eventstream ruby-jmespath)

set_up_ruby() {
    ruby_with || because "Debian's packages of Ruby cannot be unpacked"
    sid_with ruby-sid "${ruby_gems[@]}" || because "packages of Debian's newest suite cannot be unpacked"
}

# of FOLDER PACKAGE: the version of a package of `sid_with`.
of() {
    sed -n "s/^$2_\(.*\)-[^-]*_.*/\1/p" "$clients/$client/$1/versions"
}

declare -A more
for name in python_packages aws_credentials_imds go_sdks ruby; do
    if try "$name" "set_up_$name"; then more[$name]=1; fi
done

run_more() {
    local python=$clients/$client-more/bin/python names=() name package
    [ -z "${more[python_packages]:-}" ] || for package in "${python_packages[@]}"; do
        name=${package%%==*}
        [ "$name" != pyogrio ] || name=gdal
        names+=("$name")
        declare -A what=(
            [aiobotocore]="Python: aiobotocore" [awscrt]="C: aws-c-auth, the default chain of \`awscrt\`"
            [minio]="Python: \`IamAwsProvider\` of MinIO's SDK" [obstore]="Rust: object_store, in \`obstore\`"
            [opendal]="Rust: reqsign, in \`opendal\`" [pyarrow]="C++: the AWS SDK, in \`pyarrow\`"
            [gdal]="C++: GDAL, in \`pyogrio\`"
        )
        if is_wanted "$name"; then
            alone "$name" "${what[$name]} ${package##*==}" "$python" "$drivers/python-packages.py" "$name"
        fi
    done
    if [ -n "${more[aws_credentials_imds]:-}" ] && is_wanted aws-credentials-imds; then
        alone aws-credentials-imds "Python: the SDK's preview, \`aws-credentials-imds\` 0.4.0" \
            "$clients/$client-preview/bin/python" "$drivers/python-packages.py" aws-credentials-imds
    fi
    if [ -n "${installed[javascript]:-}" ] && is_wanted metadata-service; then
        alone metadata-service "JavaScript: \`@aws-sdk/ec2-metadata-service\` 3.1164.0, which holds nothing" \
            node "$drivers/javascript.mjs" "$clients/javascript" metadata-service
    fi
    if [ -n "${more[go_sdks]:-}" ]; then
        local root=$clients/$client/go-sid
        if is_wanted go-v2; then
            alone go-v2 "Go: \`config.LoadDefaultConfig\` of aws-sdk-go-v2 $(of go-sid golang-github-aws-aws-sdk-go-v2-dev)" "$root/go"
        fi
        if is_wanted go-v1; then
            alone go-v1 "Go: a session of aws-sdk-go $(of go-sid golang-github-aws-aws-sdk-go-dev)" "$root/go-v1"
        fi
    fi
    if [ -n "${more[ruby]:-}" ] && is_wanted ruby; then
        local usr=$clients/$client/ruby-sid/usr include=() lib
        # RubyGems would ask for newer libraries than those of Ruby 3.1, which suffice.
        for lib in "$usr"/share/rubygems-integration/all/gems/*/lib "$usr/lib/ruby/vendor_ruby" \
            "$clients/$client"/ruby/usr/lib/ruby/gems/3.1.0/gems/rexml-*/lib; do
            include+=(-I "$lib")
        done
        alone ruby "Ruby: \`aws-sdk-core\` $(of ruby-sid ruby-aws-sdk-core)" \
            "$clients/$client/ruby/ruby" --disable-gems "${include[@]}" "$drivers/ruby.rb"
    fi
}
