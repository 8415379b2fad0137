# shellcheck shell=sh
# wireloom's hands on a node: POSIX sh, sent with every step, running as root, never installed.
#
# The caller has set $interface and appends one call of a function below. Everything that is
# told to the operator goes to stderr and begins with "wireloom: "; what a step answers goes to
# stdout as name=value lines. No function prints a private key, and none takes one as an argument.

# shellcheck disable=SC2154  # interface is the caller's
set -u
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

directory=/etc/wireguard
config=$directory/$interface.conf
key=$directory/$interface.key
staging=$directory/.wireloom
staged=$staging/$interface.conf
state=/var/lib/wireloom
half_undone=

die() {
    printf 'wireloom: %s\n' "$*" >&2
    exit 1
}

# alone: one script of wireloom at a time. A commit that nobody listens to any more and what undoes it must not
# run side by side. What a script starts for good must not hold the lock: it closes descriptor 9.
alone() {
    exec 9>"/run/wireloom-$interface.busy"
    flock -w 45 9 || die "another step of wireloom is at work on this machine"
}

# make_key: make the private key unless there is one; answer with the public key.
# The size is looked at because `wg set` takes an empty key file for "no key" (a full disk leaves one).
make_key() {
    mkdir -p "$directory" || die "$directory can't be made"
    if ! test -e "$key"; then
        if wg genkey >"$key.new" && test "$(wc -c <"$key.new")" -eq 45 && sync "$key.new"; then
            mv "$key.new" "$key" || die "$key can't be written: is the disk full, or read-only?"
        else
            rm -f "$key.new"
            die "$key can't be written: is the disk full, or read-only?"
        fi
    fi
    public=$(wg pubkey <"$key") || die "$key holds no WireGuard key"
    printf 'public_key=%s\n' "$public"
}

# assemble FILE HEAD BODY: put a configuration together. HEAD and BODY are functions that print text.
# A key file need not end its line, and what an older file's mode was must not matter.
assemble() {
    rm -f "$1"
    {
        "$2" && printf 'PrivateKey = ' && tr -d '[:space:]' <"$key" && echo && "$3"
    } >"$1" || die "$1 can't be written: is the disk full, or read-only?"
    sync "$1"
}

# digest FILE: the SHA-256, in hex, of a configuration without its key line.
digest() {
    grep -v '^PrivateKey = ' "$1" | sha256sum | cut -c 1-64
}

# check FILE DIGEST PUBLIC_KEY: the file is whole, has one key, the right one, and wg can read it.
# `wg setconf` reads the file before it looks for the interface, whose name here can't exist (16 characters).
check() {
    test "$(digest "$1")" = "$2" ||
        die "$1 is not what was sent: cut short on its way, or the disk is full"
    test "$(grep -c '^PrivateKey = .' "$1")" -eq 1 || die "$1 has no private key"
    test "$(wg pubkey <"$key")" = "$3" || die "$key is not the key that the lock names"
    said=$(wg-quick strip "$1" 2>&1 | wg setconf wireloom-no-such /dev/stdin 2>&1)
    case $said in
    *"Unable to modify interface"*) ;;
    *) die "wg does not accept $1: $said" ;;
    esac
}

# stage DIGEST PUBLIC_KEY: write the new configuration beside the old one and check it. Nothing is live.
stage() {
    mkdir -p "$staging" "$state" || die "$staging can't be made: is the disk full, or read-only?"
    assemble "$staged" config_head config_body
    check "$staged" "$1" "$2"
}

# unstage: take away what was staged; fails where something before it could not be undone.
unstage() {
    rm -f "$staged" "$staging/bare.conf"
    test -z "$half_undone"
}

# bare DIGEST PUBLIC_KEY: generation 0 of a new node: key and address, no peers.
bare() {
    test -e "$config" && ! head -n 1 "$config" | grep -q '^# Written by wireloom' && return
    assemble "$staging/bare.conf" config_head true
    check "$staging/bare.conf" "$1" "$2"
    mv "$staging/bare.conf" "$config"
}

# place PATH TEXT: write a file of systemd's, whole or not at all.
place() {
    { mkdir -p "${1%/*}" && printf %s "$2" >"$1.new" && chmod 644 "$1.new" && mv "$1.new" "$1"; } ||
        die "$1 can't be written: is the disk full, or read-only?"
}

# displace PATH: take it away, and its directory where nothing else is in it.
displace() {
    rm -f "$1" && { rmdir "${1%/*}" 2>/dev/null || :; }
}

# reload_units: have systemd read its units again.
reload_units() {
    systemctl daemon-reload || die "systemd does not read its units again"
}

# enable: started at boot, by systemd, or by whoever runs `wg-quick up` for the names in boot/.
enable_at_boot() {
    if test -d /run/systemd/system; then
        systemctl --quiet enable "wg-quick@$interface" || die "the unit wg-quick@$interface can't be enabled"
    else
        { mkdir -p "$state/boot" && : >"$state/boot/$interface"; } || die "$state/boot can't be written"
    fi
}

# start: have the interface made by the unit that will make it at boot.
start() {
    ip link show dev "$interface" >/dev/null 2>&1 && return
    if test -d /run/systemd/system; then
        end_unit
        systemctl --quiet start "wg-quick@$interface" 2>/dev/null ||
            die "wg-quick@$interface did not start: $(journalctl -n 30 -o cat -u "wg-quick@$interface" | complaint)"
        ip link show dev "$interface" >/dev/null 2>&1 ||
            die "wg-quick@$interface says that it is active, and there is no $interface"
    else
        # In a session of its own: wireguard-go stays in the process group that starts it, and whoever
        # ends this script's group must not end the network.
        said=$(setsid wg-quick up "$interface" 2>&1 </dev/null 9>&-) ||
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

# still_staged: nothing is begun that was taken back before it began.
still_staged() {
    test -e "$staged" || die "what was staged is gone: this change was taken back"
}

# run COMMAND...: one change of the running state.
run() {
    said=$("$@" 2>&1) || die "\`$*\` failed: $said"
}

# undo COMMAND...: like run, but go on: half undone is better than not at all, and it is said.
undo() {
    said=$("$@" 2>&1) && return
    printf 'wireloom: undoing "%s" failed: %s\n' "$*" "$said" >&2
    half_undone=yes
}

# unless_confirmed DIGEST: nothing is undone once the staged file is the file, even if nobody heard of it.
unless_confirmed() {
    ! test -e "$staged" && test "$(digest "$config" 2>/dev/null)" = "$1" && exit
}

# prove SECONDS SINCE PEER...: wait until each PEER answers. PEER is `address,key`; with a key, its
# handshake must also be no older than SINCE: sessions live on for 180 s and would lie about a new key.
# Answers unproven=PEER for those that did not.
prove() {
    deadline=$(($(date +%s) + $1))
    since=$2
    shift 2
    left=$*
    own=$(wg show "$interface" public-key)
    pause=0.4
    while test -n "$left"; do
        answered=$(
            for peer in $left; do
                (
                    begins "$peer" || sleep "$pause"
                    ping -n -q -c 1 -W 1 "${peer%%,*}" >/dev/null 2>&1 && echo "$peer"
                ) &
            done
            wait
        )
        fresh=$(wg show "$interface" latest-handshakes)
        still=
        for peer in $left; do
            proven "$peer" || still="$still $peer"
        done
        left=${still# }
        pause=0
        test -z "$left" && break
        test "$(date +%s)" -ge "$deadline" && break
        sleep 0.2
    done
    for peer in $left; do
        printf 'unproven=%s\n' "$peer"
    done
}

# begins PEER: of two that are new to each other, the one whose key sorts first speaks first. Where both begin
# a handshake at the same moment each drops the other's answer, and tries again after 5 s (REKEY_TIMEOUT).
begins() {
    test -z "${1#*,}" || test "$(printf '%s\n' "$own" "${1#*,}" | sort | head -n 1)" = "$own"
}

# proven PEER: it is among $answered, and its handshake in $fresh is new enough.
proven() {
    printf '%s\n' "$answered" | grep -qxF "$1" || return 1
    test -n "${1#*,}" || return 0
    when=$(printf '%s\n' "$fresh" | while read -r peer seconds; do
        if test "$peer" = "${1#*,}"; then echo "$seconds"; fi
    done)
    test "${when:-0}" -ge "$since"
}

# confirm FLEET GENERATION NETWORK DIGEST: the staged file becomes the file, by one rename; then the note.
# At its end both are on the disk: a rename gets there with its directory, and the power may fail right after.
confirm() {
    test "$(digest "$staged")" = "$4" ||
        die "$staged has changed since it was checked"
    mv "$staged" "$config" || die "$config can't be replaced"
    {
        printf 'fleet=%s\ngeneration=%s\nnetwork=%s\ndigest=%s\n' "$@" >"$state/$interface.new" &&
            sync "$state/$interface.new" && mv "$state/$interface.new" "$state/$interface.state" &&
            sync "$directory" "$state"
    } || die "$state can't be written: is the disk full, or read-only?"
}
