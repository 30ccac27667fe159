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
sees_processes=yes
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
        case $home in
            # compose would read something else.
            *[\'\"\\\$]* | *"
"*)
                echo "docker/prepare.sh: $home has a character in it that .env can not hold; give another path to it, such as a link" >&2
                exit 1
                ;;
        esac
        if [ ! -e "$home/config.yaml" ] && [ ! -e "$home/state.db" ] && [ ! -e "$home/.env" ]; then
            echo "docker/prepare.sh: $home does not look like a Hermes home: it has no config.yaml" >&2
        fi
        user=$(stat -L -c %u:%g "$home")
        # Nobody without capabilities may look into root's processes; and where there is AppArmor, no container into those
        # of the machine.
        if [ "${user%%:*}" = 0 ] || grep -qsx Y /sys/module/apparmor/parameters/enabled; then
            sees_processes=no
        fi
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
    # Else it is `docker`, after this folder, as that of every other repository with such a folder.
    echo "COMPOSE_PROJECT_NAME=hermes-exporter"
    echo "COMPOSE_FILE=$files"
    echo "HERMES_HOME_DIRECTORY='$home'"
    echo "HERMES_USER=$user"
}

# Where everything can be seen, whatever can not be told is to be reported.
exporter() {
    if [ "$sees_processes" = yes ]; then
        sed '/# Of a home of root/,/collector_unknown/d' examples/hermes-exporter.yml
    else
        cat examples/hermes-exporter.yml
    fi
}

mkdir -p secrets configuration/hermes-exporter configuration/hermes-alert-bridge
chmod 0700 secrets configuration
chmod 0755 configuration/hermes-exporter configuration/hermes-alert-bridge
make .env environment
make secrets/webhook_token random
make secrets/grafana_admin_password random
make secrets/grafana_secret_key random
make secrets/telegram_bot_token true
make configuration/hermes-exporter/hermes-exporter.yml exporter
make configuration/hermes-alert-bridge/bridge.yml cat examples/bridge.yml

if ! grep -qxF "HERMES_HOME_DIRECTORY='$home'" .env; then
    echo "docker/prepare.sh: docker/.env was there already and says something else than was asked for now; it was kept." >&2
    echo "To watch $1 instead: rm docker/.env docker/configuration/hermes-exporter/hermes-exporter.yml, and run this again." >&2
    exit 1
fi

cat <<'END'

Next:
  1. Where your instance is not to be called vijay, name it in docker/configuration/hermes-exporter/hermes-exporter.yml,
     and in docker/configuration/hermes-alert-bridge/bridge.yml below `routes`.
  2. cd docker && docker compose up -d --build
  3. Open http://127.0.0.1:3000/ as admin, with the password that is in docker/secrets/grafana_admin_password.
  4. Messages are printed: docker compose logs -f hermes-alert-bridge. To have them in Telegram, get a bot of its own
     from @BotFather, put its token into docker/secrets/telegram_bot_token, and the numbers of the chats into
     docker/configuration/hermes-alert-bridge/bridge.yml.
END

# Prometheus, Alertmanager and Grafana run as users of their own.
unreadable=$(find ../alerts ../dashboards grafana tailscale ! -perm -o=r -print 2>/dev/null | head -n 1)
if [ -n "$unreadable" ]; then
    {
        echo
        echo "Before that: containers can not read $(realpath "$unreadable"); run"
        echo "  cd $(realpath ..) && chmod -R o+rX alerts dashboards docker/grafana docker/tailscale"
    } >&2
fi
