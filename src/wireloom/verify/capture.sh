# shellcheck shell=sh
# Capture packets on a node while marked ones are sent. One script stays and holds tcpdump, so that it ends with the
# connection; two short ones beside it wait until it listens, and tell it that it is enough.
# Needs: capture, a word for this run.

# shellcheck disable=SC2154  # the caller's
place=/run/wireloom/capture-$capture

# Capture what matches a filter, on all interfaces, for so many seconds and so many packets at most, so many bytes of
# each. Prints `said LINE` for each line of tcpdump's, `early` if it ended by itself, `pcap` and the packets.
hold_capture() {
    mkdir -p /run/wireloom && mkdir -m 700 "$place" || return 1
    catcher=''
    trap 'kill $catcher 2>/dev/null; rm -rf "$place"' EXIT
    # PIPE: nobody reads any more, the operator's connection is gone.
    trap 'exit 143' HUP INT TERM PIPE
    # The name is one that the AppArmor profile of Debian's and Ubuntu's tcpdump lets it write.
    timeout -s INT "$1" tcpdump -i any -y LINUX_SLL2 --immediate-mode -n -Z root -B 8192 -c "$2" -s "$3" \
        -w "$place/seen.pcap" "$4" 2>"$place/said" &
    catcher=$!
    echo "$catcher" >"$place/catcher"
    wait "$catcher"
    catcher=''
    sed 's/^/said /' "$place/said"
    # Who awaits it looks ten times a second.
    [ -e "$place/enough" ] || { echo early; sleep 0.5; }
    echo pcap
    [ ! -s "$place/seen.pcap" ] || gzip -1 <"$place/seen.pcap" | base64
}

# Wait until the capture listens: `listening`, or `deaf` where it ended before, or does not within 8 s.
await_capture() {
    patience=80
    until grep -qs 'listening on' "$place/said"; do
        patience=$((patience - 1))
        if [ "$patience" = 0 ] || has_ended; then echo deaf; return; fi
        sleep 0.1
    done
    echo listening
}

has_ended() {
    [ -s "$place/catcher" ] && ! kill -0 "$(cat "$place/catcher")" 2>/dev/null
}

# Tell the capture that it is enough. What is still on its way gets half a second.
end_capture() {
    [ -s "$place/catcher" ] || return 0
    sleep 0.5
    : >"$place/enough"
    kill -INT "$(cat "$place/catcher")" 2>/dev/null || rm "$place/enough"
}

# What one has to know of a node to send to it and to read its packets: `device INDEX NAME`, and `open PROTOCOL PORT`
# for what listens on more than the loopback.
describe_node() {
    for device in /sys/class/net/*/ifindex; do
        read -r index <"$device" && name=${device%/ifindex} && echo "device $index ${name##*/}"
    done
    ss -Hltun 2>/dev/null | awk '$5 !~ /^(127\.|\[::1\])/ { sub(/.*:/, "", $5); print "open", $1, $5 }' | sort -u
}

# Which program has which port: `program PROTOCOL PORT NAME`.
describe_programs() {
    ss -Htunap 2>/dev/null | awk 'match($0, /users:\(\("[^"]+/) {
        name = substr($0, RSTART + 9, RLENGTH - 9); sub(/.*:/, "", $5); gsub(/[^[:graph:]]/, "_", name)
        print "program", $1, $5, name
    }' | sort -u
}
