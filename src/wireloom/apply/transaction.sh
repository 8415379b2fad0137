# shellcheck shell=sh
# A change that was committed on a node and waits there, until it is confirmed or undone.
#
# All of it is in /run, so that a restart of the machine ends it: what a restart reads are the old files, until
# one rename puts the staged file in place of the old one.

# shellcheck disable=SC2154  # interface is the caller's; node.sh and lease.sh have the other names
words=$here/guard # the guard of the last change as its file loads it, and below it nft's own words for it

# arm ID SECONDS: what was committed is undone then, unless it is confirmed. $1 of undo.sh tells that nobody asked.
arm() {
    {
        clear_away "$change" "$here"/half_undone.* && mkdir "$change" && uptime &&
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

# disarm ID: nothing waits any more, and $change is gone. Without systemd the process that waits sees that within half
# a second.
disarm() {
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

# alone_at_last: what undoes a change comes through, also when a step hangs: it is ended, with what it started.
alone_at_last() {
    enter 5 && return
    other=0
    { read -r other; } 2>/dev/null <"$here/busy"
    own_group
    test "$other" -gt 1 && test "$other" != "$group" && kill -KILL "-$other"
    enter 5 || printf 'wireloom: another step of wireloom is at work on this machine, and goes on\n' >&2
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

# before seen|started|bare: what must run again if this change is undone: what was seen at staging, or what its own
# file has just started. Of a bare one, which is given nothing but peers, that is known without a look: see look_back.
before() {
    case $1 in
    seen) mv "$seen" "$change/before" ;;
    bare) : >"$change/bare" ;;
    *) running >"$change/before" && rm -f "$seen" ;;
    esac || die "$change can't be written: is the disk full, or read-only?"
}

# committed GUARD: the running state is as it was meant to be. GUARD is the table as the staged file loads it.
committed() {
    running >"$change/after" || die "$change can't be written: is the disk full, or read-only?"
    if test -n "$1"; then printf '%s\n%s\n' "$1" "$table"; fi >"$words"
}

# was_confirmed ID: the staged file has become the file, even if nobody heard of it, or its note did not follow.
was_confirmed() {
    if test -e "$staged" || test -e "$staging/withdrawn"; then return 1; fi
    for note in "$state/$interface.next" "$state/$interface.state"; do
        grep -qx "apply=$1" "$note" && grep -qx "digest=$(digest "$config")" "$note" && return
    done 2>/dev/null
    return 1
}

# take_back ID late|now: undo what waits; `undo_running` is what does it. Answers what became of the change.
# Whoever renames the staged file decides: this, or confirm.
take_back() {
    if test "$2" = late; then
        while too_early "$1"; do sleep 0.5; done
    fi
    still_waits "$1"
    alone_at_last
    still_waits "$1"
    if test "$2" = late && too_early "$1"; then exec sh "$change/undo.sh" late 9>&-; fi
    if ! mv "$staged" "$staging/withdrawn" 2>/dev/null && was_confirmed "$1"; then
        settle "$1"
        return
    fi
    undo_running
    look_back "$1" "$2"
    withdraw_files
    release "$1" "$change"
    disarm "$1"
}

# still_waits ID: or somebody else has decided meanwhile, and whatever step is at work now is not to be disturbed.
still_waits() {
    find_waiting
    test "$waiting" != "$1" || return 0
    if was_confirmed "$1"; then echo outcome=confirmed; else echo outcome=undone; fi
    exit 0
}

# look_back ID late|now: compare what runs with what ran before. An interface that has gone meanwhile comes back by
# its file. What is not as before is kept for whoever asks later, where nobody listens now.
look_back() {
    start_again
    running >"$change/now"
    test ! -e "$change/bare" || grep -v '^peer ' "$change/now" >"$change/before"
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
    is_there || (start) || :
}

withdraw_files() {
    rm -f "$staged" "$staging/bare.conf" "$seen" "$state/$interface.next" "$history/next"
    rm -f "$staging/withdrawn"
}

# withdraw ID: leave this machine as it was, however far the apply came on it.
withdraw() {
    find_waiting
    if test "$waiting" = "$1"; then
        exec sh "$change/undo.sh" now 9>&-
    fi
    alone
    if was_confirmed "$1"; then
        settle "$1"
        return
    fi
    read_lease
    if test "$holder" = "$1" || test -z "$holder$waiting"; then withdraw_files; fi
    release "$1"
    if test -e "$here/half_undone.$1"; then
        cat "$here/half_undone.$1" >&2
        rm "$here/half_undone.$1"
        echo outcome=half_undone
    else
        echo outcome=untouched
    fi
}

# confirm ID DIGEST: the staged file becomes the file, by one rename. All that can fail was tried before.
confirm() {
    was_confirmed "$1" || replace_file "$1" "$2"
    settle "$1"
}

replace_file() {
    keep "$1"
    find_waiting
    test "$waiting" = "$1" || die "this change was taken back before it was confirmed"
    too_early "$1" || die "this change was confirmed too late, and is taken back"
    running >"$change/now"
    cmp -s "$change/after" "$change/now" ||
        die "what runs is not what was committed: $(comm -3 "$change/after" "$change/now" | head -n 4 | tr '\n\t' ';>')"
    is_as_checked "$2" || die "$staged has changed since it was checked"
    mv "$staged" "$config" || die "$config can't be replaced"
}

# is_as_checked DIGEST: nobody has written to the staged file since its copy for the history was made of it and both
# were checked; or what was written is the same again.
is_as_checked() {
    test ! "$staged" -nt "$history/next" || test "$(digest "$staged")" = "$1"
}

# settle ID: what was confirmed is noted, and waits no more. Nothing undoes it from here on; a note that is
# missing is written again at the next apply.
settle() {
    read_note
    if test "$noted" = "$1"; then
        mv "$history/next" "$history/$generation"
        mv "$state/$interface.next" "$state/$interface.state"
        forget_oldest "$history"/*
    fi
    sync "$directory" "$state" # a rename is on the disk when its directory is (fsync(2))
    echo outcome=confirmed
    find_waiting
    if test "$waiting" = "$1"; then
        release "$1" "$change" "$seen"
        disarm "$1"
    else
        release "$1"
    fi
}

# read_note: $generation is the one that is staged here, and $noted the apply that it is of.
read_note() {
    generation='' noted=''
    while IFS='=' read -r word value; do
        case $word in generation) generation=$value ;; apply) noted=$value ;; esac
    done 2>/dev/null <"$state/$interface.next"
}

# forget_oldest FILE...: the last 50 generations are kept.
forget_oldest() {
    test $# -gt 50 || return 0
    (cd "$history" && printf '%s\n' * | sort -rn | tail -n +51 | while read -r old; do rm -f "$old"; done)
}
