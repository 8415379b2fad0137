# shellcheck shell=sh
# The running state of an interface that wireloom keeps, in one normal form: what an apply changes and what taking
# it back must bring back. Nothing in it moves by itself: endpoints roam, handshakes and counters go on, and are
# left out. Sent with the probes and with the steps of apply, which compare what they print.

# shellcheck disable=SC2154  # interface is the caller's

# running [whole]: a line for each thing, in a fixed order. With `whole` also a line `dump …` for each peer, with what
# moves. It runs a few times on every node in an apply, and each process counts: one of each, and the shell starts them.
running() {
    list_guard
    list_running "$@"
}

# list_guard: $table is the guard in nft's own words, without counters (-s), and without what packets put into its
# sets (-t).
list_guard() {
    table=$(nft -s -t list table inet wireloom 2>/dev/null)
}

# list_running [whole]: what `running` says, where $table is there already. Without the interface its guard is all that
# can run.
list_running() {
    if ! is_there; then
        test -z "$table" || printf '%s\n' "$table" | sort
        return 0
    fi
    {
        wg show "$interface" dump
        ip -force -batch - <<END
address show dev $interface
route show table all dev $interface
route show table all type unreachable
END
        printf '%s\n' "$table"
    } 2>/dev/null | normal_form "${1:-}" | sort
}

# normal_form [whole]: from `wg show IF dump` (wg(8)), whose fields are parted by tabs, from `ip` and from `nft`, in this
# order. Private and preshared keys end here, and none is in a variable of the shell, which a trace would show.
#
# From `ip`: the MTU, up or down, and the addresses that are not link-local; what leads to the interface, and the
# unreachable ranges behind it, of the main table alone: it is the one that ip does not name. A route by way of another
# node is none of wireloom's: under host-gw flannel makes one for the pods of each, whenever it likes.
normal_form() {
    awk -F '\t' -v "whole=$1" '
        BEGIN { OFS = FS }
        /^table / { guard = 1 }
        guard { print; next }
        NF == 4 { print "interface " $2 " " $3 " " $4; next }
        NF == 8 {
            if ($2 != "(none)") $2 = "hidden"
            print "peer " $1 " keepalive " $8 " preshared " ($2 == "hidden" ? $2 : "none")
            count = split($4, allowed, ",")
            for (place = 1; place <= count; place++) print "peer " $1 " allowed " allowed[place]
            if (whole) print "dump " $0
            next
        }
        { split($0, word, " ") }
        /^[0-9]+: .* mtu / {
            print "link " (word[3] ~ /[<,]UP[,>]/ ? "up" : "down")
            sub(/.* mtu /, "")
            print "mtu " ($0 + 0)
            next
        }
        /^ +inet6? / { if (!/ scope link /) print "address " word[2]; next }
        / table / || /^fe80:/ { next }
        /^unreachable / { sub(/.* metric /, ""); print "route unreachable " word[2] " " ($0 + 0); next }
        / via / && !/^default/ { next }
        /^(default|[0-9a-f]*[.:])/ { print "route " word[1] }
    '
}

# is_there: the interface is. /proc/sys/net is that of whoever looks, which /sys/class/net need not be.
is_there() {
    test -d "/proc/sys/net/ipv4/conf/$interface"
}
