# shellcheck shell=sh
# wireloom's hands on a node: POSIX sh, sent with every step, running as root, never installed.
#
# The caller has set $interface and appends one call of a function below. Everything that is
# told to the operator goes to stderr and begins with "wireloom: "; what a step answers goes to
# stdout as name=value lines. No function prints a private key, and none takes one as an argument.

# shellcheck disable=SC2154  # interface is the caller's
set -u
umask 077
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

directory=/etc/wireguard
config=$directory/$interface.conf
key=$directory/$interface.key
staging=$directory/.wireloom
staged=$staging/$interface.conf
state=/var/lib/wireloom
history=$state/history/$interface
changed="it has changed since it was looked at: plan again"
not_enabled="the unit wg-quick@$interface can't be enabled"

# make_key: make the private key unless there is one; answer with the public key.
# It is read back before it counts: `wg set` takes an empty key file for "no key" (a full disk leaves one).
make_key() {
    test -d "$directory" || mkdir -p "$directory" || die "$directory can't be made"
    if test -e "$key" || test -L "$key"; then
        public=$(wg pubkey <"$key") || die "$key holds no WireGuard key"
    else
        put_key wg genkey
    fi
    printf 'public_key=%s\n' "$public"
}

# put_key COMMAND...: what it prints becomes the private key, whole or not at all. $public is its public key.
put_key() {
    { "$@" >"$key.new" && public=$(wg pubkey <"$key.new" 2>/dev/null) && sync "$key.new" && mv "$key.new" "$key"; } || {
        rm -f "$key.new"
        die "$key can't be written: is the disk full, or read-only?"
    }
}

# assemble FILE HEAD BODY: put a configuration together. HEAD and BODY are functions that print text.
# A key file need not end its line, and what an older file's mode was must not matter.
assemble() {
    clear_away "$1"
    {
        "$2" && printf 'PrivateKey = ' && tr -d '[:space:]' <"$key" && echo && "$3"
    } >"$1" || die "$1 can't be written: is the disk full, or read-only?"
}

# digest FILE: the SHA-256, in hex, of a configuration without its key line.
digest() {
    sum=$(grep -v '^PrivateKey = ' "$1" | sha256sum)
    echo "${sum%% *}"
}

# check DIGEST PUBLIC_KEY: the staged file is whole, and so is its copy for the history, of whose text this is the
# digest; it has the right key, and wg can read it.
# `wg setconf` reads the file before it looks for the interface, whose name here can't exist (16 characters).
check() {
    sum=$(sha256sum "$history/next")
    test "${sum%% *}" = "$1" || die "$staged is not what was sent: cut short on its way, or the disk is full"
    test "$(wg pubkey <"$key")" = "$2" || die "$key is not the key that the lock names"
    said=$(grep -vE '^(Address|MTU|Table|PreUp|PostUp) = ' "$staged" | wg setconf wireloom-no-such /dev/stdin 2>&1)
    case $said in
    *"Unable to modify interface"*) ;;
    *) die "wg does not accept $staged: $said" ;;
    esac
}

# kept FIRST LAST: lines of the present file that stay, counted without its key line.
kept() {
    awk -v "first=$1" -v "last=$2" '/^PrivateKey = / { next } ++line >= first && line <= last' "$config"
}

# still_nothing: nothing of ours has appeared where the plan saw nothing at all. An interface's guard and unreachable
# ranges need no look: without it they would be somebody's by hand, and they are made anew when it starts.
still_nothing() {
    if is_there || test -s "$state/$interface.state"; then die "$changed"; fi
    : >"$seen" || die "$seen can't be written: is the disk full, or read-only?"
}

# unchanged FINGERPRINT: nobody has changed this machine since the plan looked at it. It is the digests of what runs
# and of the note, where there is one.
unchanged() {
    expected=$1
    running >"$seen" || die "$seen can't be written: is the disk full, or read-only?"
    set -- "$seen"
    test ! -s "$state/$interface.state" || set -- "$seen" "$state/$interface.state"
    # shellcheck disable=SC2046  # `digest file`, and once more
    set -- $(sha256sum "$@")
    test "$1${3:+ $3}" = "$expected" || die "$changed"
}

# stage DIGEST PUBLIC_KEY: write the new files beside the old ones and check them, the digest is that of the file for
# the history. Nothing is live.
stage() {
    { test -d "$staging" && test -d "$history"; } || mkdir -p "$staging" "$history" ||
        die "$staging or $history can't be made: is the disk full, or read-only?"
    forget_save_config
    assemble "$staged" config_head config_body
    { note >"$state/$interface.next" && { record && grep -v '^PrivateKey = ' "$staged"; } >"$history/next"; } ||
        die "$state can't be written: is the disk full, or read-only?"
    check "$1" "$2"
    sync "$staged" "$state/$interface.next" "$history/next" ||
        die "$state can't be written: is the disk full, or read-only?"
}

# forget_save_config: with SaveConfig a stop of the interface would write what is not confirmed into the file.
forget_save_config() {
    test -e "$config" || return 0
    if grep -qi '^[[:space:]]*SaveConfig' "$config"; then
        { grep -vi '^[[:space:]]*SaveConfig' "$config" >"$staging/unsaved" && mv "$staging/unsaved" "$config"; } ||
            die "$config can't be written: is the disk full, or read-only?"
    fi
}

# bare LINES MARK: generation 0 of a new node: key and address, no peers, which are so many lines of the staged file. It
# replaces only what begins with MARK, wireloom's own.
bare() {
    if test -e "$config" || test -L "$config"; then
        { read -r first; } 2>/dev/null <"$config"
        case $first in "$2"*) ;; *) return 0 ;; esac
    fi
    clear_away "$staging/bare.conf"
    { head -n "$1" "$staged" >"$staging/bare.conf" && mv "$staging/bare.conf" "$config"; } ||
        die "$config can't be written: is the disk full, or read-only?"
}

# clear_away FILE...: those that are there. What is not there costs no process.
clear_away() {
    for one in "$@"; do
        if test -e "$one" || test -L "$one"; then rm -rf "$one"; fi
    done
}

# place PATH TEXT: write a file of systemd's, for all to read, whole or not at all.
place() {
    umask 022
    { { test -d "${1%/*}" || mkdir -p "${1%/*}"; } && clear_away "$1.new" && printf %s "$2" >"$1.new" &&
        mv "$1.new" "$1"; } || die "$1 can't be written: is the disk full, or read-only?"
    umask 077
}

# displace PATH: take it away, and its directory where nothing else is in it.
displace() {
    rm -f "$1" && { rmdir "${1%/*}" 2>/dev/null || :; }
}

# reload_units: have systemd read its units again, if it has ours in memory: one that is new to it is read with all
# that belongs to it, and this takes longer than all else that an apply does on a node. (NeedDaemonReload can't
# be asked: it does not see a drop-in in a directory that is new.)
# Leaves in $in_memory what systemd says of it, so that it need not be asked again.
reload_units() {
    in_memory=$(systemctl list-units --all --plain --no-legend "wg-quick@$interface.service")
    test -z "$in_memory" || systemctl daemon-reload || die "systemd does not read its units again"
}

# enable: started at boot, by systemd, or by whoever runs `wg-quick up` for the names in boot/.
enable_at_boot() {
    if test -d /run/systemd/system; then
        systemctl --quiet --no-reload enable "wg-quick@$interface" || die "$not_enabled"
    else
        { mkdir -p "$state/boot" && : >"$state/boot/$interface"; } || die "$state/boot can't be written"
    fi
}

# start [enable]: have the interface made by the unit that will make it at boot; with `enable` also at boot.
start() {
    if is_there || test ! -d /run/systemd/system; then
        test -z "${1:-}" || enable_at_boot
    fi
    ! is_there || return 0
    if test -d /run/systemd/system; then
        end_unit
        # One process for both. (Without --no-reload systemd would read its units again.)
        systemctl --quiet ${1:+--no-reload --now} "${1:-start}" "wg-quick@$interface" 2>/dev/null || {
            test -z "${1:-}" || systemctl --quiet is-enabled "wg-quick@$interface" || die "$not_enabled"
            die "wg-quick@$interface did not start: $(journalctl -n 30 -o cat -u "wg-quick@$interface" | complaint)"
        }
        is_there || die "wg-quick@$interface says that it is active, and there is no $interface"
    else
        # In a session of its own: wireguard-go stays in the process group that starts it, and whoever
        # ends this script's group must not end the network.
        # Twice: on a busy machine wg may come before a wireguard-go that has just been started listens.
        said=$(setsid wg-quick up "$interface" 2>&1 </dev/null 9>&-) ||
            { sleep 1 && said=$(setsid wg-quick up "$interface" 2>&1 </dev/null 9>&-); } ||
            die "wg-quick up $interface failed: $(printf '%s\n' "$said" | complaint)"
    fi
}

# complaint: what wg-quick said, on one line, without the commands that it shows.
complaint() {
    grep -v -e '^\[#\]' -e '^[|│┌└+]' -e '^[[:space:]]*$' | tail -n 5 | tr '\n' ' '
}

# end_unit: a unit may think itself active while the interface is gone, and must be stopped to be started. Where
# k3s rides on it its stop by hand is refused: that is lifted for the moment, for there is nothing left to lose.
end_unit() {
    unit=wg-quick@$interface
    test -n "${in_memory-unknown}" || return 0
    systemctl --quiet is-active "$unit" || return 0
    lifted=
    if test "$(systemctl show --value -p RefuseManualStop "$unit")" = yes; then
        lifted=/run/systemd/system/$unit.service.d/zz-wireloom.conf # the last one wins
        place "$lifted" '[Unit]
RefuseManualStop=no
'
        reload_units
    fi
    systemctl stop "$unit" 2>/dev/null || :
    systemctl reset-failed "$unit" 2>/dev/null || :
    test -z "$lifted" || { displace "$lifted" && reload_units; }
}
