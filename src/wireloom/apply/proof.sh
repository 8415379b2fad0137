# shellcheck shell=sh
# The proof that a change works, as far as one node can tell.
#
# A PEER is `address,key,pause`. With a key its handshake must be a new one: sessions live on for 180 s and would
# lie about a new key. PAUSE, in seconds, is for who lets the other speak first: where both begin a handshake at
# the same moment each drops the other's answer, and tries again after 5 s (REKEY_TIMEOUT).

# shellcheck disable=SC2154,SC2086  # interface is the caller's; a list of peers is words

# prove SECONDS SINCE PEER...: wait until each PEER answers, with a handshake no older than SINCE where it has a
# key. Answers unproven=PEER for those that did not.
prove() {
    uptime
    deadline=$((now + $1 * 100))
    since=$2
    shift 2
    left=$*
    while test -n "$left"; do
        answered=" $(hear $left | tr '\n' ' ')"
        fresh=$(wg show "$interface" latest-handshakes)
        still=
        for peer in $left; do
            proven "$peer" || still="$still ${peer%,*},0"
        done
        left=${still# }
        uptime
        if test -z "$left" || test "$now" -ge "$deadline"; then break; fi
        sleep 0.2
    done
    for peer in $left; do
        printf 'unproven=%s\n' "$peer"
    done
}

# waits ID: the change is still there to be proven.
waits() {
    find_waiting
    test "$waiting" = "$1" ||
        die "the change is not here any more: this machine was restarted, or its clock took the change back"
}

# hear PEER...: those of them that answer a ping, one a line.
hear() {
    for peer in "$@"; do
        (
            case $peer in *,0) ;; *) sleep "${peer##*,}" ;; esac
            ping -n -q -c 1 -W 1 "${peer%%,*}" >/dev/null 2>&1 && echo "$peer"
        ) &
    done
    wait
}

# heard PEER...: who answers already, before anything changes: nobody else has to answer afterwards.
heard() {
    hear "$@" | sed 's/^/heard=/'
}

# proven PEER: it is among $answered, and its handshake in $fresh is new enough.
proven() {
    case $answered in *" $1 "*) ;; *) return 1 ;; esac
    wanted=${1#*,}
    wanted=${wanted%,*}
    test -n "$wanted" || return 0
    while read -r peer_key when; do
        if test "$peer_key" = "$wanted"; then
            test "$when" -ge "$since"
            return
        fi
    done <<END
$fresh
END
    return 1
}
