# The life of the package on a machine, in the throwaway root directory of scripts/package-test.
set -euo pipefail
cd /

fail() {
    echo "package-test: $*" >&2
    cat /run/*.log /run/services/*/log >&2 2>/dev/null || true
    exit 1
}

step() {
    printf 'package-test: %s\n' "$*"
}

# is WHAT EXPECTED ACTUAL
is() {
    [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

custom_status() {
    presencectl get "$1" -o json | python3 -c 'import json, sys; print(json.load(sys.stdin)["users"][0]["customStatus"])'
}

# What differs from the machine, without what dpkg and the journal of changes keep. Directories only if they are the package's: those
# above them stay in the overlay.
files() {
    (cd /opt/upper && find . \( -path ./var/lib/dpkg -o -path ./var/log -o -path ./var/cache -o -path ./var/lib/apt -o -path ./var/lib/systemd \) -prune \
        -o \( ! -type d -o -name '*presence*' \) -print) |
        grep -v -e '^./etc/\(passwd\|group\|shadow\|gshadow\|subuid\|subgid\)-\?$' -e '^./etc/\.pwd\.lock$' | sort
}

is_installed() {
    dpkg-query --show --showformat '${db:Status-Abbrev}' presenced 2>/dev/null | grep -q '^ii'
}

! is_installed || dpkg --purge presenced
files >/run/files.before
getent passwd | sort >/run/users.before
getent group | sort >/run/groups.before

step "the four commands of the README"
mapfile -t commands < <(sed -n '/^## Install$/,/^## /p' /opt/README.md | sed -n '/^```sh$/,/^```$/p' | sed -n 's/^sudo //p')
is "the number of commands" 4 ${#commands[@]}
began=$(date +%s%N)
eval "${commands[0]/.\/presenced_*.deb//opt/old.deb --yes}" >/run/install.log 2>&1 || fail "the package can't be installed"
eval "exec ${commands[1]}" >/run/events &
eval "${commands[2]}" >/run/simulate.log 2>&1 || fail "the simulation failed"
eval "${commands[3]}" >/run/doctor.log || fail "doctor finds faults"
kill $!
grep -q " → " /run/events || fail "no changing status in the second terminal: $(cat /run/events)"
milliseconds=$((($(date +%s%N) - began) / 1000000))
step "took $milliseconds ms, of which the simulation 10 s"
[ $milliseconds -lt 120000 ] || fail "a new user needs more than two minutes"

step "install: the service runs, and the tool finds it"
systemctl is-active presenced || fail "the service does not run"
is "the unit" enabled "$(systemctl is-enabled presenced)"
is "the data directory" "presenced:presenced 700" "$(stat --format '%U:%G %a' /var/lib/presenced)"
is "the owner of the secret" "presenced 600" "$(stat --format '%U %a' /var/lib/presenced/secret)"
is "the user's shell" /usr/sbin/nologin "$(getent passwd presenced | cut -d: -f7)"
is "the user of the process" "$(id -u presenced)" "$(stat --format %u "/proc/$(cat /run/services/presenced.service/pid)")"
presencectl set-status alice dnd >/dev/null
is "the custom status" DO_NOT_DISTURB "$(custom_status alice)"
code=0
HOME=/nonexistent setpriv --reuid nobody --regid nogroup --clear-groups presencectl online 2>/run/refused.log || code=$?
is "the exit code for others" 4 "$code"
grep -q "run this as root" /run/refused.log || fail "others are not told what to do: $(cat /run/refused.log)"

step "unit: verified, and exposed by 2.0 at most"
systemd-analyze verify --man=no presenced.service || fail "the unit is not valid"
systemd-analyze security --offline=true --threshold=20 --no-pager presenced.service >/run/security.log ||
    fail "the unit is exposed: $(tail -n 1 /run/security.log)"

step "documents: man pages and completions are where they are looked for"
for page in presenced presencectl presencectl-online; do
    gzip --test "/usr/share/man/man1/$page.1.gz"
done
for name in presenced presencectl; do
    bash -c ". /usr/share/bash-completion/completions/$name && complete -p $name" >/dev/null
    test -s "/usr/share/zsh/vendor-completions/_$name"
    test -s "/usr/share/fish/vendor_completions.d/$name.fish"
done
for name in copyright changelog.Debian.gz CHANGELOG.md.gz THIRD-PARTY-LICENSES.gz README.md docs/operations.md examples/alerts.yaml; do
    test -s "/usr/share/doc/presenced/$name" || fail "no /usr/share/doc/presenced/$name"
done

step "reload: the unit's command takes over the edited configuration file"
sed -i 's/^#log-level = .*/log-level = "debug"/' /etc/presenced/presenced.toml
systemctl reload presenced
deadline=$((SECONDS + 30))
until presencectl stats -o json | grep -q '"log-level"'; do
    [ $SECONDS -lt $deadline ] || fail "the reload did not change the level: $(presencectl stats -o json)"
    sleep 0.1
done
cp /etc/presenced/presenced.toml /run/edited.toml

step "upgrade: the service is restarted, data and edits stay"
pid=$(cat /run/services/presenced.service/pid)
secret=$(cat /var/lib/presenced/secret)
dpkg --force-confold --install /opt/new.deb >/run/upgrade.log 2>&1 || fail "no upgrade"
[ "$(cat /run/services/presenced.service/pid)" != "$pid" ] || fail "the service was not restarted"
is "the custom status" DO_NOT_DISTURB "$(custom_status alice)"
is "the secret" "$secret" "$(cat /var/lib/presenced/secret)"
cmp /etc/presenced/presenced.toml /run/edited.toml || fail "the edits are lost"
test -e /etc/presenced/presenced.toml.dpkg-dist || fail "the new configuration file is not beside the edited one"

step "data of release 0.1.0: the service takes it over"
systemctl stop presenced
find /var/lib/presenced -mindepth 1 -delete
tar --extract --file=/opt/data.tar.gz --directory=/var/lib/presenced --strip-components=2 --no-same-owner data/sqlite
chown -R presenced:presenced /var/lib/presenced
systemctl start presenced || fail "the service does not start with it"
is "the custom status" DO_NOT_DISTURB "$(custom_status dnd)"
is "the custom status that an operator set" IDLE "$(custom_status set-by-operator)"
presencectl set-status alice dnd >/dev/null

step "remove: the service stops, data and settings stay"
dpkg --remove presenced >/run/remove.log 2>&1 || fail "can't be removed"
[ ! -e /run/services/presenced.service/pid ] || fail "the service still runs"
[ ! -e /usr/bin/presenced ] || fail "the program is still there"
is "the end of the service" 0 "$(cat /run/services/presenced.service/exit)"
test -s /var/lib/presenced/presence.db || fail "the data is gone"
cmp /etc/presenced/presenced.toml /run/edited.toml || fail "the settings are gone"

step "install again: the data is back"
dpkg --install /opt/new.deb >/run/install.log 2>&1 || fail "can't be installed again"
is "the custom status" DO_NOT_DISTURB "$(custom_status alice)"

step "purge: nothing is left"
dpkg --purge presenced >/run/purge.log 2>&1 || fail "can't be purged"
files >/run/files.after
getent passwd | sort >/run/users.after
getent group | sort >/run/groups.after
for kind in files users groups; do
    diff /run/$kind.before /run/$kind.after || fail "$kind are left, or missing"
done
echo "package-test: passed"
