# shellcheck shell=sh
# An apply's hold on a node: one apply at a time, and one step of it at a time.
#
# Times are those since the machine started, in hundredths of a second: nobody sets that clock back. All of this is
# in /run, so that a restart of the machine ends it.

# shellcheck disable=SC2154,SC2034  # interface is the caller's; transaction.sh uses the names, too
here=/run/wireloom/$interface
lease=$here/lease   # who may change this machine, and until when: id, end, since, who; a line each
change=$here/change # what was committed and waits: id, deadline, before, after, undo.sh
seen=$here/seen     # what ran when the change was staged

LEASE=1500 # how long it holds without a word
FRESH=300  # a word that is no older is as good as another

die() {
    printf 'wireloom: %s\n' "$*" >&2
    exit 1
}

uptime() {
    read -r now _ </proc/uptime
    now=${now%.*}${now#*.}
}

# alone: one script of wireloom at a time. A commit that nobody listens to any more and what undoes it must not
# run side by side. What a script starts for good must not hold this: it closes descriptor 9.
alone() {
    enter 45 || die "another step of wireloom is at work on this machine"
}

# enter SECONDS: have the lock within so long, and leave there which process group has it.
enter() {
    test -d "$here" || mkdir -p "$here" || die "$here can't be made: is the disk full, or read-only?"
    exec 9>>"$here/busy"
    flock -w "$1" 9 && own_group && echo "$group" >"$here/busy"
}

# own_group: $group is this script's process group: the third field after the name (proc(5)), which may hold blanks.
own_group() {
    read -r stat <"/proc/$$/stat"
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    group=$3
}

# hold ID WHO SINCE: have this machine for one apply, which began then. It runs out by itself: an operator who is cut off without a
# word holds nobody up for long. A change that waits holds the machine as well.
hold() {
    uptime
    read_lease
    find_waiting
    if test -n "$waiting" && test "$waiting" != "$1"; then
        read -r until <"$change/deadline"
        test $((now - until)) -lt "$LEASE" || undo_forgotten # as long after its time as a lease lasts
    fi
    if test -n "$waiting" && test "$waiting" != "$1"; then
        die "held by $who since $since: a change of theirs waits here and is undone in $(seconds_to "$until") s"
    fi
    if test "$holder" != "$1"; then
        test "$until" -le "$now" || die "held by $who since $since; free in $(seconds_to "$until") s at the latest"
        who=$2 since=$3
    fi
    renew "$1"
}

# read_lease: $holder, $until, $since and $who; nobody's where there is none.
read_lease() {
    holder='' until=0 since='' who=''
    { read -r holder && read -r until && read -r since && read -r who; } 2>/dev/null <"$lease" || :
}

# undo_forgotten: what should have undone a change long ago has been killed.
undo_forgotten() {
    flock -u 9
    sh "$change/undo.sh" now >/dev/null 2>&1
    flock 9
    find_waiting
}

# find_waiting: $waiting is the id of the change that waits here, or empty.
find_waiting() {
    waiting=
    { read -r waiting; } 2>/dev/null <"$change/id" || :
}

seconds_to() {
    test "$1" -gt "$now" && echo $((($1 - now) / 100 + 1)) || echo 1
}

renew() {
    { printf '%s\n' "$1" $((now + LEASE)) "$since" "$who" >"$lease.$$" && mv "$lease.$$" "$lease"; } ||
        die "$lease can't be written: is the disk full, or read-only?"
}

# keep ID: go on with an apply that has this machine. Its steps follow each other closely: not each has to write.
keep() {
    uptime
    read_lease
    test -n "$holder" || die "this apply has this machine no more: it was restarted, or its clock took the change back"
    test "$holder" = "$1" || die "this apply was not heard of for too long: $who has had this machine since $since"
    test $((until - now)) -gt $((LEASE - FRESH)) || renew "$1"
}

# beat ID SECONDS: keep the machine; with SECONDS, give what waits there that long from now. It comes while a step is
# at work, whose end it must not undo: see release.
beat() {
    if test -d "$here"; then exec 8<"$here" && flock -w 3 8; fi
    keep "$1"
    find_waiting
    if test "$2" -gt 0 && test "$waiting" = "$1"; then
        echo $((now + $2 * 100)) >"$change/deadline.new" && mv "$change/deadline.new" "$change/deadline"
    fi
}

# release ID [FILE]: take FILE away, and let others have this machine. A hold that was cut off while it was written is
# nobody's.
release() {
    {
        flock -w 5 8 # a beat that is under way would put the lease back
        read_lease
        whose=$1
        shift
        case $holder in "$whose" | '') set -- "$@" "$lease" "$lease".* ;; esac
        test $# -eq 0 || rm -rf "$@"
    } 8<"$here"
}

