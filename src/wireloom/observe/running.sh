# shellcheck shell=sh
# The running state of an interface that wireloom keeps, in one normal form: what an apply changes and what taking
# it back must bring back. Nothing in it moves by itself: endpoints roam, handshakes and counters go on, and are
# left out. Sent with the probes and with the steps of apply, which compare what they print.

# shellcheck disable=SC2154  # interface is the caller's
# running: a line for each thing, in a fixed order. Of keys only the public ones.
running() {
    {
        wg show "$interface" dump | without_keys | running_peers
        ip address show dev "$interface" | running_addresses
        ip -4 route show | running_routes
        ip -6 route show | running_routes
        nft -s list table inet wireloom
    } 2>/dev/null | sort
}

# without_keys: `wg show IF dump` (wg(8)), whose first line is the interface's own, without the private key in it.
# Of a preshared key only remains that there is one: what a shell reads into a variable a trace of it shows.
without_keys() {
    tab=$(printf '\t')
    sed "1s/^[^$tab]*$tab//; 1!s/^\([^$tab]*\)${tab}[^($tab][^$tab]*/\1${tab}hidden/"
}

# running_peers: from what without_keys leaves.
running_peers() {
    read -r public port mark && echo "interface $public $port $mark"
    while read -r public preshared _ allowed _ _ _ keepalive; do
        test "$preshared" = hidden || preshared=none
        echo "peer $public keepalive $keepalive preshared $preshared"
        while test -n "$allowed"; do
            echo "peer $public allowed ${allowed%%,*}"
            case $allowed in *,*) allowed=${allowed#*,} ;; *) allowed= ;; esac
        done
    done
}

# running_addresses: from `ip address show`: the MTU, up or down, and the addresses that are not link-local.
running_addresses() {
    while read -r first second rest; do
        case "$first $rest" in
        [0-9]*:*mtu\ *)
            case $rest in *[\<,]UP[,\>]*) echo "link up" ;; *) echo "link down" ;; esac
            rest=${rest#*mtu }
            echo "mtu ${rest%% *}"
            ;;
        inet*scope\ link*) ;;
        inet*) echo "address $second" ;;
        esac
    done
}

# running_routes: those that lead to the interface, and the unreachable ones behind them.
running_routes() {
    while read -r to rest; do
        case "$to $rest " in
        fe80:* | multicast*) ;;
        unreachable*) echo "route $to ${rest%% *} ${rest##*metric }" ;;
        *" dev $interface "*) echo "route $to" ;;
        esac
    done
}
