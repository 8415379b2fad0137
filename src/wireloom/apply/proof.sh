# shellcheck shell=sh
# The proof that a change works, as far as one node can tell.
#
# A PEER is `address,key`. With a key its handshake must be a new one: sessions live on for 180 s and would lie about
# a new key.

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
        answered=" $(hear $left)" fresh='' still=''
        for peer in $left; do
            proven "$peer" || still="$still $peer"
        done
        left=${still# }
        provoke $left
        uptime
        if test -z "$left" || test "$now" -ge "$deadline"; then break; fi
        sleep 0.2
    done
    for peer in $left; do
        printf 'unproven=%s\n' "$peer"
    done
}

# provoke PEER...: a packet by the interface itself to each whose handshake is missing: while keys are rotated routes
# lead everything over another one. Its answer comes by that one, too, and is not waited for.
provoke() {
    for peer in "$@"; do
        test -z "${peer#*,}" || ping -n -q -c 1 -W 1 -I "$interface" "${peer%%,*}" >/dev/null 2>&1 &
    done
}

# waits ID: the change is still there to be proven.
waits() {
    find_waiting
    test "$waiting" = "$1" ||
        die "the change is not here any more: this machine was restarted, or its clock took the change back"
}

# hear PEER...: those of them that answer a ping, a blank after each. All are asked side by side.
hear() {
    asked=''
    for peer in "$@"; do
        ping -n -q -c 1 -W 1 "${peer%%,*}" >/dev/null 2>&1 &
        asked="$asked $!:$peer"
    done
    for peer in $asked; do
        if wait "${peer%%:*}"; then printf '%s ' "${peer#*:}"; fi
    done
}

# heard PEER...: who answers already, before anything changes: nobody else has to answer afterwards.
heard() {
    for peer in $(hear "$@"); do
        echo "heard=$peer"
    done
}

# proven PEER: it is among $answered, and its handshake is new enough. $fresh is `key time` for each, asked once.
proven() {
    case $answered in *" $1 "*) ;; *) return 1 ;; esac
    wanted=${1#*,}
    test -n "$wanted" || return 0
    fresh=${fresh:-$(wg show "$interface" latest-handshakes)}
    whose=
    for word in $fresh; do
        if test "$whose" = "$wanted"; then
            test "$word" -ge "$since"
            return
        fi
        whose=$word
    done
    return 1
}
