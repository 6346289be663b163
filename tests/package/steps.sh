# The life of the package on a machine, in the throwaway root directory of scripts/package-test.
set -euo pipefail
cd /

fail() {
    echo "package-test: $*" >&2
    { cat /run/*.log; systemctl status --full --no-pager presenced; journalctl --unit presenced --lines 50 --no-pager; } >&2 2>/dev/null || true
    exit 1
}

step() {
    printf 'package-test: %s\n' "$*"
}

# What systemd says of the service: property NAME
property() {
    systemctl show --property "$1" --value presenced
}

# Starts in a row are no fault here: again VERB
again() {
    systemctl reset-failed presenced
    systemctl "$1" presenced
}

# until_is WHAT EXPECTED COMMAND...
until_is() {
    local deadline=$((SECONDS + 30))
    until [ "$("${@:3}")" = "$2" ]; do
        [ $SECONDS -lt $deadline ] || fail "$1: expected '$2', got '$("${@:3}")'"
        sleep 0.1
    done
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
# A system call that the unit denies is an error to the daemon; here it is its end, so that none is overlooked.
mkdir -p /run/systemd/system/presenced.service.d
printf '[Service]\nSystemCallErrorNumber=kill\n' >/run/systemd/system/presenced.service.d/kill.conf
systemctl daemon-reload
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
is "the user of the process" "$(id -u presenced)" "$(stat --format %u "/proc/$(property MainPID)")"
presencectl set-status alice dnd >/dev/null
is "the custom status" DO_NOT_DISTURB "$(custom_status alice)"
code=0
HOME=/nonexistent setpriv --reuid nobody --regid nogroup --clear-groups presencectl online 2>/run/refused.log || code=$?
is "the exit code for others" 4 "$code"
grep -q "run this as root" /run/refused.log || fail "others are not told what to do: $(cat /run/refused.log)"

step "unit: verified, and exposed by 2.0 at most"
systemd-analyze verify --man=no presenced.service || fail "the unit is not valid"
systemd-analyze security --offline=true --threshold=20 --no-pager presenced.service >/run/security ||
    fail "the unit is exposed: $(tail -n 1 /run/security)"

step "start: the process is confined as the unit says"
pid=$(property MainPID)
status() {
    sed -n "s/^$1:\\s*//p" "/proc/$pid/status"
}
for kind in CapInh CapPrm CapEff CapBnd CapAmb; do
    is "$kind" 0000000000000000 "$(status $kind)"
done
is "no new privileges" 1 "$(status NoNewPrivs)"
is "the filter of system calls" 2 "$(status Seccomp)"
is "the users it knows" "0 $(id -u presenced)" "$(awk '{ printf "%s%s", (NR > 1 ? " " : ""), $1 }' "/proc/$pid/uid_map")"
# This machine may allow less than the unit asks for.
allowed=$(ulimit -H -n)
is "the open files" $((allowed < 65536 ? allowed : 65536)) "$(awk '/^Max open files/ { print $4 }' "/proc/$pid/limits")"
is "the core dumps" 0 "$(awk '/^Max core file size/ { print $5 }' "/proc/$pid/limits")"
is "what it can write" "/tmp /var/lib/presenced /var/tmp" "$(awk '$6 ~ /^rw/ && $5 !~ "^/(dev|proc|run)" { print $5 }' "/proc/$pid/mountinfo" | sort -u | paste -sd ' ')"

step "failures: a crash and a hang are answered by a restart, an invalid setting is not"
pid=$(property MainPID)
systemctl kill --signal KILL presenced
until_is "the restarts" 1 property NRestarts
until_is "the service" active property ActiveState
is "the custom status" DO_NOT_DISTURB "$(custom_status alice)"
mkdir -p /run/systemd/system/presenced.service.d
printf '[Service]\nWatchdogSec=1\n' >/run/systemd/system/presenced.service.d/watchdog.conf
systemctl daemon-reload
again restart
kill -STOP "$(property MainPID)"
until_is "how the service that hung ended" watchdog property Result
until_is "the restarts" 1 property NRestarts
until_is "the service" active property ActiveState
rm /run/systemd/system/presenced.service.d/watchdog.conf
systemctl daemon-reload
cp /etc/presenced/presenced.toml /run/valid.toml
echo 'listen = "nowhere"' >>/etc/presenced/presenced.toml
again restart 2>/run/invalid.log && fail "an invalid setting is accepted"
is "how it ended" "failed 2 0" "$(property ActiveState) $(property ExecMainStatus) $(property NRestarts)"
cp /run/valid.toml /etc/presenced/presenced.toml
again start

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
has_log_level() {
    presencectl stats -o json | grep -c '"log-level"' || true
}
until_is "what the reload changed" 1 has_log_level
cp /etc/presenced/presenced.toml /run/edited.toml

step "upgrade: the service is restarted, data and edits stay"
pid=$(property MainPID)
secret=$(cat /var/lib/presenced/secret)
dpkg --force-confold --install /opt/new.deb >/run/upgrade.log 2>&1 || fail "no upgrade"
[ "$(property MainPID)" != "$pid" ] || fail "the service was not restarted"
is "the custom status" DO_NOT_DISTURB "$(custom_status alice)"
is "the secret" "$secret" "$(cat /var/lib/presenced/secret)"
cmp /etc/presenced/presenced.toml /run/edited.toml || fail "the edits are lost"
test -e /etc/presenced/presenced.toml.dpkg-dist || fail "the new configuration file is not beside the edited one"

step "data of release 0.1.0: the service takes it over"
systemctl stop presenced
is "how the service ended" "success 0" "$(property Result) $(property ExecMainStatus)"
find /var/lib/presenced -mindepth 1 -delete
tar --extract --file=/opt/data.tar.gz --directory=/var/lib/presenced --strip-components=2 --no-same-owner data/sqlite
chown -R presenced:presenced /var/lib/presenced
again start || fail "the service does not start with it"
is "the custom status" DO_NOT_DISTURB "$(custom_status dnd)"
is "the custom status that an operator set" IDLE "$(custom_status set-by-operator)"
presencectl set-status alice dnd >/dev/null

step "remove: the service stops, data and settings stay"
pid=$(property MainPID)
cursor=$(journalctl --lines 0 --show-cursor | sed -n 's/^-- cursor: //p')
dpkg --remove presenced >/run/remove.log 2>&1 || fail "can't be removed"
[ ! -e "/proc/$pid" ] || fail "the service still runs"
[ ! -e /usr/bin/presenced ] || fail "the program is still there"
# The unit is gone, and with it what systemd knows of it.
journalctl --sync
is "how the service ended" "presenced.service: Deactivated successfully." \
    "$(journalctl --after-cursor "$cursor" --unit presenced --output cat | grep -e 'Deactivated' -e 'Failed with' -e 'exited')"
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
