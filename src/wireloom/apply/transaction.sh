# shellcheck shell=sh
# An apply's hold on a node, and the change that waits there until it is confirmed or undone.
#
# All of it is in /run, so that a restart of the machine ends it: what a restart reads are the old files, until
# one rename puts the staged file in place of the old one. Times are those since the machine started, in
# hundredths of a second: nobody sets that clock back.

# shellcheck disable=SC2154,SC2034  # interface is the caller's; node.sh has the other names
here=/run/wireloom/$interface
lease=$here/lease   # who may change this machine, and until when: id, end, since, who; a line each
change=$here/change # what was committed and waits: id, deadline, before, after, undo.sh

LEASE=1500

uptime() {
    read -r now _ </proc/uptime
    now=${now%.*}${now#*.}
}

# alone: one script of wireloom at a time. A commit that nobody listens to any more and what undoes it must not
# run side by side. What a script starts for good must not hold this: it closes descriptor 9.
alone() {
    enter 45 || die "another step of wireloom is at work on this machine"
}

enter() {
    mkdir -p "$here" || die "$here can't be made: is the disk full, or read-only?"
    exec 9>>"$here/busy"
    flock -w "$1" 9 && echo $$ >"$here/busy"
}

# alone_at_last: what undoes a change comes through, also when a step hangs: it is ended, with what it started.
alone_at_last() {
    enter 5 && return
    read -r stat 2>/dev/null <"/proc/$(cat "$here/busy")/stat" || stat=
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    test "${3:-0}" -gt 1 && test "$3" != "$(cut -d ' ' -f 5 /proc/self/stat)" && kill -KILL "-$3"
    enter 5 || printf 'wireloom: another step of wireloom is at work on this machine, and goes on\n' >&2
}

# hold ID WHO: have this machine for one apply. It runs out by itself: an operator who is cut off without a
# word holds nobody up for long. A change that waits holds the machine as well.
hold() {
    mkdir -p "$here" || die "$here can't be made: is the disk full, or read-only?"
    uptime
    holder='' until=0 since='' who=''
    { read -r holder && read -r until && read -r since && read -r who; } 2>/dev/null <"$lease"
    find_waiting
    if test -n "$waiting" && test "$waiting" != "$1"; then
        read -r until <"$change/deadline"
        die "held by $who since $since: a change of theirs waits here and is undone in $(seconds_to "$until") s"
    fi
    if test "$holder" != "$1"; then
        test "$until" -le "$now" || die "held by $who since $since; free in $(seconds_to "$until") s at the latest"
        since=$(date '+%F %T %Z') who=$2
    fi
    renew "$1"
}

# find_waiting: $waiting is the id of the change that waits here, or empty.
find_waiting() {
    waiting=
    { read -r waiting; } 2>/dev/null <"$change/id" || :
}

seconds_to() {
    echo $((($1 - now) / 100 + 1))
}

renew() {
    { printf '%s\n' "$1" $((now + LEASE)) "$since" "$who" >"$lease.$$" && mv "$lease.$$" "$lease"; } ||
        die "$lease can't be written: is the disk full, or read-only?"
}

# keep ID: go on with an apply that has this machine.
keep() {
    uptime
    holder='' since='' who=''
    { read -r holder && read -r _ && read -r since && read -r who; } 2>/dev/null <"$lease"
    test -n "$holder" || die "this apply has this machine no more: it was restarted, or its clock took the change back"
    test "$holder" = "$1" || die "this apply was not heard of for too long: $who has had this machine since $since"
    renew "$1"
}

# beat ID SECONDS: keep the machine; with SECONDS, give what waits there that long from now.
beat() {
    keep "$1"
    find_waiting
    if test "$2" -gt 0 && test "$waiting" = "$1"; then
        echo $((now + $2 * 100)) >"$change/deadline.new" && mv "$change/deadline.new" "$change/deadline"
    fi
}

# release ID: let others have this machine.
release() {
    { read -r holder; } 2>/dev/null <"$lease"
    test "${holder:-}" != "$1" || rm -f "$lease" "$lease".*
}

# arm ID SECONDS: what was committed is undone then, unless it is confirmed. $1 of undo.sh tells that nobody asked.
arm() {
    {
        rm -rf "$change" "$here"/half_undone.* && mkdir "$change" && uptime &&
            echo $((now + $2 * 100)) >"$change/deadline" &&
            { hands && what_undoes; } >"$change/undo.sh" && echo "$1" >"$change/id"
    } || die "$change can't be written: is the disk full, or read-only?"
    if test -d /run/systemd/system; then
        systemd-run --quiet --collect --unit="wireloom-$interface-$1" --on-active="$2" \
            --timer-property=AccuracySec=100ms --description="take an unconfirmed change of $interface back" \
            /bin/sh "$change/undo.sh" late 9>&- || die "no timer that would undo this change can be set"
    else
        setsid sh "$change/undo.sh" late </dev/null >/dev/null 2>&1 9>&- &
    fi
}

# disarm ID: nothing waits any more. Without systemd the process that waits sees it within half a second.
disarm() {
    rm -rf "$change"
    if test -d /run/systemd/system; then
        systemctl stop "wireloom-$interface-$1.timer" 2>/dev/null || :
    fi
}

# too_early ID: whether the change of ID still has time.
too_early() {
    find_waiting
    test "$waiting" = "$1" || return 1
    read -r deadline <"$change/deadline"
    uptime
    test "$now" -lt "$deadline"
}

# run COMMAND...: one change of the running state.
run() {
    said=$("$@" 2>&1) || die "\`$*\` failed: $said"
}

# undo COMMAND...: like run, but go on: whether all is back is seen afterwards. Told only if it is not.
undo() {
    said=$("$@" 2>&1) || printf 'undoing \140%s\140 failed: %s\n' "$*" "$said" >>"$change/failed"
}

# still_staged: nothing is begun that was taken back before it began.
still_staged() {
    test -e "$staged" || die "what was staged is gone: this change was taken back"
}

# before: what must run again if this change is undone.
before() {
    running >"$change/before" || die "$change can't be written: is the disk full, or read-only?"
}

# committed: the running state is as it was meant to be.
committed() {
    running >"$change/after" || die "$change can't be written: is the disk full, or read-only?"
}

# was_confirmed DIGEST: the staged file is the file, even if nobody heard of it.
was_confirmed() {
    ! test -e "$staged" && test "$(digest "$config" 2>/dev/null)" = "$1"
}

# take_back ID DIGEST [late]: undo what waits; `undo_running` is what does it. Answers what became of the change.
# Whoever renames the staged file decides: this, or confirm.
take_back() {
    if test "${3:-}" = late; then
        while too_early "$1"; do sleep 0.5; done
    fi
    alone_at_last
    find_waiting
    test "$waiting" = "$1" || exit 0
    if test "${3:-}" = late && too_early "$1"; then exec sh "$change/undo.sh" late; fi
    if ! mv "$staged" "$staging/withdrawn" 2>/dev/null && was_confirmed "$2"; then
        echo outcome=confirmed
    else
        undo_running
        look_back "$1" "${3:-}"
        withdraw_files
    fi
    release "$1"
    disarm "$1"
}

# look_back ID [late]: compare what runs with what ran before. An interface that has gone meanwhile comes back by
# its file. What is not as before is kept for whoever asks later, if nobody listens now.
look_back() {
    start_again
    running >"$change/now"
    if ! test -e "$change/before" || cmp -s "$change/before" "$change/now"; then
        echo outcome=undone
        return
    fi
    echo outcome=half_undone
    {
        cat "$change/failed" 2>/dev/null
        echo "not as before: $(comm -3 "$change/before" "$change/now" 2>/dev/null | head -n 8 | tr '\n\t' ';>')"
    } | sed 's/^/wireloom: /' >"$change/complaint"
    cat "$change/complaint" >&2
    test "$2" != late || mv "$change/complaint" "$here/half_undone.$1"
}

# start_again: only what ended by itself, or by hand, while the change waited.
start_again() {
    ip link show dev "$interface" >/dev/null 2>&1 || (start) || :
}

withdraw_files() {
    rm -f "$staged" "$staging/withdrawn" "$staging/bare.conf" "$state/$interface.next" "$history/next"
}

# withdraw ID: leave this machine as it was, however far the apply came on it.
withdraw() {
    find_waiting
    if test "$waiting" = "$1"; then
        exec sh "$change/undo.sh" now 9>&-
    fi
    alone
    { read -r holder; } 2>/dev/null <"$lease"
    if test "${holder:-}" = "$1" || test -z "${holder:-}$waiting"; then withdraw_files; fi
    release "$1"
    if test -e "$here/half_undone.$1"; then
        cat "$here/half_undone.$1" >&2
        rm "$here/half_undone.$1"
        echo outcome=half_undone
    else
        echo outcome=untouched
    fi
}

# confirm ID DIGEST GENERATION: the staged file becomes the file, by one rename. All that can fail was tried before.
confirm() {
    if was_confirmed "$2" && test -s "$history/$3"; then
        echo outcome=confirmed
        return
    fi
    keep "$1"
    find_waiting
    test "$waiting" = "$1" || die "this change was taken back before it was confirmed"
    too_early "$1" || die "this change was confirmed too late, and is taken back"
    running >"$change/now"
    cmp -s "$change/after" "$change/now" ||
        die "what runs is not what was committed: $(comm -3 "$change/after" "$change/now" | head -n 4 | tr '\n\t' ';>')"
    test "$(digest "$staged")" = "$2" || die "$staged has changed since it was checked"
    mv "$staged" "$config" || die "$config can't be replaced"
    # From here on nothing undoes it; a note that is missing is written again at the next apply.
    mv "$state/$interface.next" "$state/$interface.state"
    mv "$history/next" "$history/$3"
    sync "$directory" "$state" # a rename is on the disk when its directory is (fsync(2))
    echo outcome=confirmed
    forget_oldest "$history"/*
    release "$1"
    disarm "$1"
}

# forget_oldest FILE...: the last 50 generations are kept.
forget_oldest() {
    test $# -gt 50 || return 0
    (cd "$history" && printf '%s\n' * | sort -rn | tail -n +51 | while read -r old; do rm -f "$old"; done)
}
