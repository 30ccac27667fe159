#!/bin/sh
# Makes what compose.yml needs and what is nobody else's: secrets, configuration, and .env. Never overwrites anything, so
# it may be run again.
#
#   docker/prepare.sh DIRECTORY       to watch the Hermes home of this machine in DIRECTORY, such as /root/.hermes
#   docker/prepare.sh --container     to run Hermes in its official container, and watch that
set -eu
umask 077
cd "$(dirname "$0")"

usage() {
    echo "usage: docker/prepare.sh DIRECTORY | --container" >&2
    exit 64
}

[ $# -eq 1 ] || usage
files=compose.yml
case $1 in
    --container)
        files=compose.yml:compose.hermes-container.yml
        # Stands for nothing there: the volume of the container is mounted instead.
        home=/opt/data
        user=10000:10000
        ;;
    -*) usage ;;
    /*)
        home=$1
        if [ ! -d "$home" ]; then
            echo "docker/prepare.sh: $home is not there, or can not be seen by this user" >&2
            exit 1
        fi
        user=$(stat -c %u:%g "$home")
        ;;
    *)
        echo "docker/prepare.sh: write the whole path of the Hermes home, as in /root/.hermes" >&2
        exit 64
        ;;
esac

# make NAME COMMAND...: a file with what the command prints, unless there is one.
make() {
    name=$1
    shift
    if [ -e "$name" ]; then
        echo "kept $name"
        return
    fi
    "$@" > "$name.new"
    # A container reads it with a user id of its own, and nobody else gets past the folder that it is in.
    chmod 0644 "$name.new"
    mv "$name.new" "$name"
    echo "made $name"
}

random() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

environment() {
    echo "# Read by docker compose. Made by prepare.sh; yours to change."
    echo "COMPOSE_FILE=$files"
    echo "HERMES_HOME_DIRECTORY=$home"
    echo "HERMES_USER=$user"
}

mkdir -p secrets configuration/hermes-exporter configuration/hermes-alert-bridge
chmod 0700 secrets configuration
chmod 0755 configuration/hermes-exporter configuration/hermes-alert-bridge
make .env environment
make secrets/webhook_token random
make secrets/grafana_admin_password random
make secrets/grafana_secret_key random
make secrets/telegram_bot_token true
make configuration/hermes-exporter/hermes-exporter.yml cat examples/hermes-exporter.yml
make configuration/hermes-alert-bridge/bridge.yml cat examples/bridge.yml

if ! grep -qx "HERMES_HOME_DIRECTORY=$home" .env; then
    echo "docker/prepare.sh: .env was there and is about another home; change it where that is not meant" >&2
fi
# Prometheus, Alertmanager and Grafana run as users of their own.
unreadable=$(find ../alerts ../dashboards grafana tailscale ! -perm -o=r -print 2>/dev/null | head -n 1)
if [ -n "$unreadable" ]; then
    echo "docker/prepare.sh: $unreadable can not be read in a container; run: chmod -R o+rX alerts dashboards docker/grafana docker/tailscale" >&2
fi

cat <<'END'

Next:
  1. Name your instance in docker/configuration/hermes-exporter/hermes-exporter.yml.
  2. cd docker && docker compose up -d --build
  3. Open http://127.0.0.1:3000/ as admin, with the password that is in docker/secrets/grafana_admin_password.
  4. Messages are printed: docker compose logs -f hermes-alert-bridge. To have them in Telegram, get a bot of its own
     from @BotFather, put its token into docker/secrets/telegram_bot_token, and the numbers of the chats into
     docker/configuration/hermes-alert-bridge/bridge.yml.
END
