#!/usr/bin/env bash
# Installs what the tests need and runs them all. For Debian and Ubuntu, as root or with sudo.
#
#   tests/run.sh           everything
#   tests/run.sh fast      what needs nothing but Rust
#
# What is installed: packages of the system (a C compiler, s6, git, Python, Prometheus, Alertmanager, systemd,
# Chromium, Node.js, ShellCheck, docker-compose), cargo-deny, and below target/ a virtual environment with hermes-agent
# and Grafana's own types of a dashboard.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# install_missing COMMAND=PACKAGE...: installs the packages whose commands are not there. A path stands for a package
# that has no command.
install_missing() {
    local missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || [ -e "${pair%%=*}" ] || missing+=("${pair#*=}")
    done
    if [ "${#missing[@]}" -gt 0 ]; then
        step "installing ${missing[*]}"
        as_root apt-get update -q
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
    fi
}

command -v cargo >/dev/null || { echo "tests/run.sh: cargo is missing; install Rust 1.95 or newer first" >&2; exit 1; }
install_missing cc=build-essential
# Without them the tests that start a real s6, or make certificates as the documents say, say so and pass.
[ "${1:-}" = fast ] || install_missing s6-svscan=s6 openssl=openssl

step "formatting"
cargo fmt --all --check
step "lints"
cargo clippy --locked --all-targets -- -D warnings
# Each program builds without what only the other one needs.
for program in exporter bridge; do
    cargo clippy --locked --lib --bins --no-default-features --features "$program" -- -D warnings
done
step "unit, golden and program tests"
cargo test --locked

[ "${1:-}" != fast ] || exit 0

step "licences, sources and duplicates of dependencies"
command -v cargo-deny >/dev/null || cargo install --locked --debug cargo-deny@0.20.2
cargo deny --locked check bans licenses sources

install_missing python3=python3 git=git curl=curl chromium=chromium chromedriver=chromium-driver \
    prometheus=prometheus amtool=prometheus-alertmanager setpriv=util-linux nsenter=util-linux ip=iproute2 \
    node=nodejs npm=npm shellcheck=shellcheck openssl=openssl groff=groff-base \
    docker-compose=docker-compose
# For a machine with a systemd of its own, over what is installed here.
install_missing systemd-nspawn=systemd-container dbus-daemon=dbus dbus-broker-launch=dbus-broker \
    /lib/systemd/system/dbus.service=dbus /usr/lib/systemd/user/dbus.service=dbus-user-session \
    /usr/share/pam-configs/systemd=libpam-systemd
environment=target/test-environment
python="$PWD/$environment/bin/python"
if ! "$python" -c 'import aiohttp, hermes_cli, time_machine, prometheus_client, pytest, selenium' 2>/dev/null \
    || [ ! -x "$environment/bin/hadolint" ]; then
    step "hermes-agent and test tools for Python"
    # A Python without venv or its pip is one of Debian's, whose package brings both.
    python3 -c 'import ensurepip, venv' 2>/dev/null || { as_root apt-get update -q; as_root apt-get install -y -q python3-venv; }
    python3 -m venv --clear "$environment"
    "$python" -m pip install -q -r tests/end_to_end/requirements.txt
fi

step "end-to-end tests against the real hermes-agent, Prometheus, Alertmanager and systemd"
# The programs are those that `cargo test` has built for its own tests.
# They look at homes as their owner and as somebody else, so they are run as root.
as_root env HERMES_EXPORTER="$PWD/target/debug/hermes-exporter" \
    HERMES_ALERT_BRIDGE="$PWD/target/debug/hermes-alert-bridge" \
    BOT_API_SERVER="$PWD/target/debug/examples/bot-api-server" HERMES_PYTHON="$python" PATH="$PATH" \
    "$python" -m pytest -q -p no:cacheprovider tests/end_to_end
