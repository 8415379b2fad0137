# shellcheck shell=sh
# Take the network off a machine: POSIX sh, sent with node.sh, lease.sh and transaction.sh before it.
#
# Whatever was cut off can be done again: whose all of it is stands in the note, which goes last.

# shellcheck disable=SC2154  # the names are those of node.sh and transaction.sh

did() {
    printf 'did=%s\n' "$*"
}

# take_down: end the interface, now and at boot; also a unit that thinks itself active while the interface is gone. A
# stop that the unit refuses, as k3s rode on it, end_unit has.
take_down() {
    was_there=
    ! is_there || was_there=yes
    if test -d /run/systemd/system; then
        disable_at_boot
        end_unit
    fi
    if is_there; then
        said=$(wg-quick down "$interface" 2>&1) || said=$(ip link delete "$interface" 2>&1) ||
            die "$interface can't be taken down: $(printf '%s\n' "$said" | complaint)"
    fi
    ! is_there || die "$interface is there again: who makes it?"
    test -z "$was_there" || did "interface $interface"
}

# disable_at_boot: as `systemctl disable`, which leaves a masked unit as it is.
disable_at_boot() {
    for one in /etc/systemd/system/*.wants/"wg-quick@$interface.service" /etc/systemd/system/*.requires/"wg-quick@$interface.service"; do
        test ! -L "$one" || rm -f "$one" || die "the unit wg-quick@$interface can't be disabled"
    done
}

# take WHAT COMMAND...: one thing that the interface has left behind.
take() {
    what=$1
    shift
    run "$@"
    did "$what"
}

# erase DROP_IN STAND_IN: the files, and the key that a rotation may have made for a stand-in that never came. Where no other fleet is on the machine, also what they were put together in.
erase() {
    stand_in=$2
    displace "$1"
    test ! -d /run/systemd/system || reload_units
    set -- "$config" "$key" "$key.new" "$staged" "$history" "$words" "$state/boot/$interface" "$state/$interface.next" \
        "$state/$interface.rekeyed"
    test -e "$directory/$stand_in.conf" || set -- "$@" "$directory/$stand_in.key" "$directory/$stand_in.key.new"
    alone_here && set -- "$@" "$staging"
    for one in "$config" "$key"; do
        test ! -L "$one" || did "the link $one, and not $(readlink "$one")"
    done
    said=$(clear_away "$@" 2>&1; printf .)
    for one in "$@"; do
        test ! -e "$one" || die "not deleted: ${said%.}"
    done
    rm -f "$state/$interface.state" || die "$state/$interface.state can't be deleted"
    rmdir "$staging" "$state/history" "$state/boot" "$state" 2>/dev/null
    did "its key and files"
}

# alone_here: no other interface of wireloom's has a note here, or is about to have one.
alone_here() {
    for one in "$state"/*.state "$state"/*.next "$staging"/*.conf; do
        case $one in "$state/$interface".* | "$staging/$interface.conf" | "$staging/bare.conf") continue ;; esac
        test ! -e "$one" || return 1
    done
}
