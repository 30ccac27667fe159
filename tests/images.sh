#!/usr/bin/env bash
# Builds the images of docker/Dockerfile and runs them, on a machine without a container engine's daemon and without a
# registry. Not part of tests/run.sh: two optimised static builds take a quarter of an hour. As root, on Debian 12 with
# Rust, with: apt-get install --no-install-recommends buildah podman crun debootstrap
#
#   tests/images.sh              both; what is built is kept below /var/tmp/hermes-images, and the second time is short
#   tests/images.sh exporter     or `bridge`: that one
#
# The base image is a stand-in for rust:1.95-bookworm: Debian's packages and this machine's toolchain. So it proves the
# steps of the Dockerfile and what the images do, not the real base image.
#
# DEBIAN_ARCHIVE is where packages come from (http://deb.debian.org/debian).
set -euo pipefail
cd "$(dirname "$0")/.."

targets=("$@")
[ $# -gt 0 ] || targets=(exporter bridge)
work=${HERMES_IMAGES:-/var/tmp/hermes-images}
mkdir -p "$work/configuration"
storage=(--root "$work/storage" --runroot "$work/run" --storage-driver overlay)
base=docker.io/library/rust:1.95-bookworm

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'tests/images.sh: %s\n' "$*" >&2; exit 1; }
for program in buildah podman debootstrap cargo; do
    command -v "$program" >/dev/null || fail "$program is missing"
done

build_base() {
    step "a stand-in for $base"
    [ -e "$work/debian/etc/debian_version" ] || debootstrap --variant=minbase \
        --include=ca-certificates,tzdata,gcc,libc6-dev,make,pkg-config,perl-base \
        bookworm "$work/debian" "${DEBIAN_ARCHIVE:-http://deb.debian.org/debian}" > "$work/debootstrap.log"
    local container sysroot
    sysroot=$(rustc --print sysroot)
    container=$(buildah "${storage[@]}" from scratch)
    buildah "${storage[@]}" copy -q "$container" "$work/debian" /
    for part in bin lib libexec; do
        buildah "${storage[@]}" copy -q "$container" "$sysroot/$part" "/usr/local/$part"
    done
    buildah "${storage[@]}" config --env CARGO_HOME=/usr/local/cargo \
        --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    buildah "${storage[@]}" commit -q --format docker "$container" "$base"
    buildah "${storage[@]}" rm "$container" > /dev/null
}

# What was fetched here is mounted, so that no network is needed within.
build() {
    step "building $1"
    buildah "${storage[@]}" bud --layers --isolation chroot --pull-never --network host --format docker \
        --volume "${CARGO_HOME:-$HOME/.cargo}/registry:/usr/local/cargo/registry" \
        --file docker/Dockerfile --target "$1" --tag "hermes-test-$1" .
}

# Where a machine mounts the old control groups, podman is given a view with the new ones alone. Health checks of podman
# need a systemd; they are run by hand below.
podman_here() {
    # shellcheck disable=SC2016 # The inner shell expands them.
    unshare -m --propagation private bash -euc \
        'umount -l /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec podman "$@"' -- "${storage[@]}" "$@"
}

running=()
# start NAME [FLAG...] -- IMAGE [ARGUMENT...]: with no more rights than the compose file gives.
start() {
    local name=$1 flags=()
    shift
    while [ "$1" != -- ]; do flags+=("$1"); shift; done
    shift
    podman_here run --rm --name "$name" --cgroups=disabled --no-healthcheck --ulimit nofile=1024:1024 \
        --ulimit nproc=1024:1024 --network host --read-only --read-only-tmpfs=false --cap-drop ALL \
        --security-opt no-new-privileges "${flags[@]}" "$@" > "$work/$name.log" 2>&1 &
    running+=("$!")
}

# inside NAME COMMAND...: in a container that runs.
inside() { podman_here exec "$@"; }

# until_true COMMAND...: within 20 seconds.
until_true() {
    local deadline=$((SECONDS + 20))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "not within 20 seconds: $*; the logs are in $work"
        sleep 0.1
    done
}

exit_code() {
    local code=0
    "$@" >&2 || code=$?
    echo "$code"
}

is_running() { kill -0 "$1" 2>/dev/null; }

milliseconds() { date +%s%3N; }

# stops_promptly NAME PID: on SIGTERM, with exit code 0.
stops_promptly() {
    local began took code=0
    began=$(milliseconds)
    podman_here kill --signal TERM "$1" > /dev/null
    wait "$2" || code=$?
    took=$(($(milliseconds) - began))
    [ "$code" -eq 0 ] || fail "$1 ended with $code; see $work/$1.log"
    [ "$took" -le 5000 ] || fail "$1 took $took ms to stop"
    echo "$1 stopped within $took ms"
}

cleanup() {
    for pid in "${running[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
}
trap cleanup EXIT

# looks_right TARGET: what is in an image, and what is not.
looks_right() {
    step "what is in the image of the $1"
    local target=$1 container folder program user
    buildah "${storage[@]}" images --format "hermes-test-$target {{.Size}}" "hermes-test-$target"
    container=$(buildah "${storage[@]}" from --pull-never "localhost/hermes-test-$target")
    folder=$(buildah "${storage[@]}" mount "$container")
    program=$(find "$folder/bin" -type f)
    stat --format "$(basename "$program") %s bytes" "$program"
    ! ldd "$program" 2>/dev/null | grep -q '=>' || fail "$program is not static"
    # Only the program may be run, and nothing of the sources is left.
    [ "$(find "$folder" -type f -perm /111 | wc -l)" -eq 1 ] || fail "there is more than the program to run in $target"
    buildah "${storage[@]}" rm "$container" > /dev/null
    user=$(buildah "${storage[@]}" inspect --type image --format '{{.OCIv1.Config.User}}' "hermes-test-$target")
    [ "$user" = 65532:65532 ] || fail "$target runs as $user"
    buildah "${storage[@]}" inspect --type image "hermes-test-$target" | grep -q '"healthcheck"' \
        || fail "$target has no health check"
}

run_exporter() {
    step "running the exporter"
    local home
    mkdir -p "$work/home"
    tar -xzf tests/fixtures/hermes-0.19.0/homes.tar.gz -C "$work/home" --no-same-owner
    chmod -R u=rwX,go=rX "$work/home"
    home=$(find "$work/home" -name config.yaml -printf '%h\n' | sort | head -n 1)
    printf 'instances:\n  - {name: vijay, home: /hermes}\n' > "$work/configuration/hermes-exporter.yml"
    start hermes-test-exporter --volume "$work/configuration:/etc/hermes-exporter:ro" --volume "$home:/hermes:ro" -- \
        localhost/hermes-test-exporter \
        serve --config.file /etc/hermes-exporter/hermes-exporter.yml --web.listen-address 127.0.0.1:20119
    until_true curl -fs -o "$work/metrics" http://127.0.0.1:20119/metrics
    grep -q '^hermes_gateway_up{instance="vijay"} ' "$work/metrics" || fail "the exporter's image sees no home"
    [ "$(exit_code inside hermes-test-exporter /bin/hermes-exporter healthcheck --web.listen-address localhost:20119)" = 0 ] \
        || fail "the exporter is not healthy"
    [ "$(exit_code inside hermes-test-exporter /bin/hermes-exporter healthcheck --web.listen-address 127.0.0.1:20118)" = 1 ] \
        || fail "healthy where nothing listens"
    stops_promptly hermes-test-exporter "${running[-1]}"
}

run_bridge() {
    step "running the bridge"
    # As prepare.sh makes it: a file that the container's user may read, in a folder that it may not enter.
    install -d -m 0700 "$work/secrets"
    printf 'secret' > "$work/secrets/webhook_token"
    chmod 0644 "$work/secrets/webhook_token"
    cat > "$work/configuration/bridge.yml" <<'END'
store: /var/lib/hermes-alert-bridge/bridge.db
auth: {bearer_token_file: /run/secrets/webhook_token}
delivery: console
chats: {root: {timezone: Asia/Kolkata}}
default_chat: root
END
    podman_here volume rm --force hermes-test-store > /dev/null
    start hermes-test-bridge --volume "$work/configuration:/etc/hermes-alert-bridge:ro" \
        --volume "$work/secrets/webhook_token:/run/secrets/webhook_token:ro" \
        --volume hermes-test-store:/var/lib/hermes-alert-bridge -- \
        localhost/hermes-test-bridge \
        serve --config.file /etc/hermes-alert-bridge/bridge.yml --web.listen-address 127.0.0.1:20120
    until_true curl -fs -o /dev/null http://127.0.0.1:20120/-/healthy
    curl -fsS -H 'Authorization: Bearer secret' 'http://127.0.0.1:20120/notify?chat=root' -d 'It works' > /dev/null
    until_true grep -q 'It works' "$work/hermes-test-bridge.log"
    [ "$(exit_code inside hermes-test-bridge /bin/hermes-alert-bridge healthcheck --ready --web.listen-address 127.0.0.1:20120)" = 0 ] \
        || fail "the bridge is not ready"
    curl -fs -o "$work/metrics" http://127.0.0.1:20120/metrics
    grep -qE '^hermes_alert_bridge_ready 1(\.0)?$' "$work/metrics" || fail "the bridge's image does not say that it is ready"
    stops_promptly hermes-test-bridge "${running[-1]}"
}

buildah "${storage[@]}" inspect --type image "$base" > /dev/null 2>&1 || build_base
step "fetching what Cargo.lock names"
cargo fetch --locked
for target in "${targets[@]}"; do
    build "$target"
    looks_right "$target"
    "run_$target"
done
step "all is well"
