# shellcheck shell=sh
# The running state of an interface that wireloom keeps, in one normal form: what an apply changes and what taking
# it back must bring back. Nothing in it moves by itself: endpoints roam, handshakes and counters go on, and are
# left out. Sent with the probes and with the steps of apply, which compare what they print.

# shellcheck disable=SC2154  # interface is the caller's
tab=$(printf '\t')

# running: a line for each thing, in a fixed order. Leaves what it read in $dump and $table, for who wants more.
# Without counters (-s), and without what packets put into the table's sets (-t).
running() {
    dump=$(public_dump)
    table=$(nft -s -t list table inet wireloom 2>/dev/null)
    {
        printf '%s\n' "$dump" | running_peers
        printf 'route show\naddress show dev %s\n' "$interface" | ip -force -batch - | running_addresses
        ip -6 route show | running_addresses
        test -z "$table" || printf '%s\n' "$table"
    } 2>/dev/null | sort
}

# public_dump: `wg show IF dump` (wg(8)) without the private key, which begins its first line, and without preshared
# keys, of which it is told that they are there.
public_dump() {
    wg show "$interface" dump 2>/dev/null |
        sed -E "1s/^[^${tab}]*${tab}//; 1!s/^([^${tab}]*)${tab}[^(${tab}][^${tab}]*/\\1${tab}hidden/"
}

# running_peers: from the dump, whose first line is the interface's own.
running_peers() {
    read -r public port mark && test -n "$mark" && echo "interface $public $port $mark"
    while read -r public preshared _ allowed _ _ _ keepalive; do
        test "$preshared" = hidden || preshared=none
        echo "peer $public keepalive $keepalive preshared $preshared"
        while test -n "$allowed"; do
            echo "peer $public allowed ${allowed%%,*}"
            case $allowed in *,*) allowed=${allowed#*,} ;; *) allowed= ;; esac
        done
    done
}

# running_addresses: from `ip address show`, the MTU, up or down, and the addresses that are not link-local; from
# `ip route show`, what leads to the interface, and the unreachable ranges behind it.
running_addresses() {
    while read -r first second rest; do
        case "$first $second $rest " in
        [0-9]*:*" mtu "*)
            case $rest in *[\<,]UP[,\>]*) echo "link up" ;; *) echo "link down" ;; esac
            rest=${rest#*mtu }
            echo "mtu ${rest%% *}"
            ;;
        inet*" scope link "* | fe80:* | multicast*) ;;
        inet*) echo "address $second" ;;
        unreachable*) echo "route $first $second ${rest##*metric }" ;;
        *" dev $interface "*) echo "route $first" ;;
        esac
    done
}
