# shellcheck shell=sh
# wireloom's hands for k3s on a node: POSIX sh, sent with every step, running as root, never installed.
#
# Every step may be taken again. What is told to the operator goes to stderr and begins with "wireloom: ", what a
# step answers goes to stdout as name=value lines. A token is only ever text of the script, which comes on stdin,
# and what printf, a builtin, writes to a file: it is in no argument list, and in no answer but that of hand_on.

set -u
umask 077
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

binary=/usr/local/bin/k3s
secrets='/etc/rancher/k3s/server-token /etc/rancher/k3s/agent-token /var/lib/rancher/k3s/server/token'
woken=/run/wireloom/k3s.woken # as old as the last start
due=/run/wireloom/k3s.restart # k3s runs with other files than those that are there; gone with a restart of the machine

die() {
    printf 'wireloom: %s\n' "$*" >&2
    exit 1
}

# holds FILE DIGEST: the file is there, and this is the SHA-256, in hex, of it.
holds() {
    sum=
    test -f "$1" && sum=$(sha256sum "$1") && test "${sum%% *}" = "$2"
}

# fit FILE MODE VERSION: give it its mode; where VERSION is not empty, it is a k3s that says so of itself.
fit() {
    wrong="its mode can't be changed"
    chmod "$2" "$1" || return
    test -n "$3" || return 0
    said=$(timeout 20 "$1" --version 2>/dev/null | { read -r _ _ third _ && echo "$third"; })
    test "$said" != "$3" || return 0
    wrong="the file says ${said:+k3s }${said:-nothing of its version}, the fleet file wants $3"
    return 1
}

# wants FILE DIGEST MODE VERSION: answer how much of a file that is to come is there: all, or so many bytes beside its
# place.
wants() {
    if holds "$1" "$2"; then
        fit "$1" "$3" "$4" || die "$1: $wrong"
        echo have=all
    else
        mkdir -p "${1%/*}" || die "${1%/*} can't be made: is the disk full, or read-only?"
        name_part "$1" "$2"
        size=$(stat -c %s "$part" 2>/dev/null) || size=0
        echo "have=$size"
    fi
}

# name_part FILE DIGEST: $part is where a file grows: another one does not grow on its beginning.
name_part() {
    rest=${2#????????????}
    part=${1%/*}/.${1##*/}.${2%"$rest"}
}

# grow FILE DIGEST SIZE: add a piece, which comes on descriptor 3, after the first SIZE bytes. What is behind them is
# from a piece that was cut off.
grow() {
    name_part "$1" "$2"
    { truncate -s "$3" "$part" && cat <&3 >>"$part"; } ||
        die "$part can't be written: is the disk full, or read-only?"
}

# fetch FILE DIGEST URL: have a release from where it is kept.
fetch() {
    name_part "$1" "$2"
    mkdir -p "${1%/*}" || die "${1%/*} can't be made: is the disk full, or read-only?"
    if command -v curl >/dev/null; then
        said=$(curl -fsSL --retry 3 --connect-timeout 20 -o "$part" "$3" 2>&1)
    elif command -v wget >/dev/null; then
        said=$(wget -nv --tries=3 --timeout=20 -O "$part" "$3" 2>&1)
    else
        die "neither curl nor wget is here to fetch $3: install one, or have it sent: --k3s-binary"
    fi || {
        rm -f "$part"
        case $said in *'curl: (23)'* | *'No space left'*) full='; is the disk full?' ;; *) full='' ;; esac
        die "$3 can't be fetched: $(printf %s "$said" | tail -n 1)$full"
    }
}

# finish FILE DIGEST MODE VERSION: it is whole, and what was meant: put it in its place. Parts of others, which nobody
# waits for any more, go.
finish() {
    name_part "$1" "$2"
    holds "$1" "$2" || {
        holds "$part" "$2" || { rm -f "$part" && die "$1 is not what was meant: its SHA-256 is ${sum%% *}, not $2"; }
        fit "$part" "$3" "$4" || { rm -f "$part" && die "$1: $wrong"; }
        { sync "$part" && mv "$part" "$1"; } || die "$1 can't be written: is the disk full, or read-only?"
    }
    rm -f "${1%/*}/.${1##*/}."????????????
}

# put FILE MODE: write the text that `text` prints, whole or not at all.
put() {
    { mkdir -p "${1%/*}" && text >"$1.new" && chmod "$2" "$1.new" && sync "$1.new" && mv "$1.new" "$1"; } || {
        rm -f "$1.new"
        die "$1 can't be written: is the disk full, or read-only?"
    }
}

# enable UNIT: started at boot; systemd reads it again first.
enable() {
    { systemctl daemon-reload && systemctl --quiet --no-reload enable "$1"; } || die "the unit $1 can't be enabled"
}

# make_token FILE: a secret of 256 bits from the kernel's randomness, unless there is one.
make_token() {
    test -s "$1" && return
    secret=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
    test ${#secret} = 64 || die "/dev/urandom gives no randomness"
    text() { printf '%s\n' "$secret"; }
    put "$1" 600
}

# hand_on NAME FILE: answer with the token in a file, for the operator to hand it on and not to look at.
hand_on() {
    token=
    { read -r token; } 2>/dev/null <"$2"
    test -n "$token" || die "$2 is not there: has k3s begun here?"
    printf '%s=%s\n' "$1" "$token"
}

# note_restart: what is about to be replaced is what a k3s runs with; see wake.
note_restart() {
    { mkdir -p "${due%/*}" && : >"$due"; } || die "$due can't be written: is the disk full, or read-only?"
}

# wake UNIT: (re)start it, and don't wait: k3s says that it is ready when it is. But systemd has begun when this ends:
# until then, what is to go would pass for what is to come. Reading all units again costs more than to ask whether it is
# due: here, where an apply was cut off before `enable`, or a drop-in is gone.
wake() {
    rm -f "/run/systemd/system/$1.service.d/wireloom-leaves.conf" # by `k3s remove`, which did not come to its end
    test "$(systemctl show --value -p NeedDaemonReload "$1")" != yes || systemctl daemon-reload
    systemctl reset-failed "$1" 2>/dev/null
    before=$(systemctl show --value -p InvocationID "$1")
    { mkdir -p "${woken%/*}" && : >"$woken"; } || die "$woken can't be written: is the disk full, or read-only?"
    systemctl --no-block restart "$1" || die "the unit $1 can't be started"
    systemctl reset-failed "$1" 2>/dev/null # once more: what goes down again and again may just have done so
    rm -f "$due"
    left=10
    while test "$left" -gt 0 && test "$(systemctl show --value -p ActiveState "$1")" = active; do
        test "$(systemctl show --value -p InvocationID "$1")" = "$before" || break
        sleep 1
        left=$((left - 1))
    done
}

# gate UNIT SECONDS: answer how far the unit is, as soon as it is active or has failed; at most so late. By the clock: on
# a machine that is busy starting k3s a look at systemd takes its time, too.
gate() {
    read -r now _ </proc/uptime
    end=$((${now%.*} + $2))
    while state=$(systemctl show --value -p ActiveState "$1") && restarts=$(systemctl show --value -p NRestarts "$1"); do
        case $state in active | failed) break ;; esac
        # Restart=always: a k3s that gives up is "activating" again and again.
        test "$restarts" -lt 3 || break
        read -r now _ </proc/uptime
        test "${now%.*}" -lt "$end" || break
        sleep 1
    done
    echo "state=$state"
    echo "restarts=$restarts"
    test "$state" = active || complain "$1"
}

# complain UNIT: answer with the last that the unit has said of a mistake since it was started, without any token in it.
complain() {
    since=$(stat -c %Y "$woken" 2>/dev/null)
    journalctl -n 200 -o cat -u "$1" ${since:+"--since=@$since"} 2>/dev/null | grep -E 'level=(fatal|error)|^[FE][0-9]{4} ' | tail -n 1 |
        sed -e 's/^time="[^"]*" //' -e 's#://[^/@ ]*@#://…@#g' | hide_tokens | sed -e 's/^/said=/' | cut -c 1-400
}

# hide_tokens: copy what comes, without a token. The secrets are read here: so they are in no argument list.
hide_tokens() {
    awk -v "files=$secrets" '
        BEGIN {
            for (place = split(files, file); place > 0; place--)
                while ((getline line <file[place]) > 0) { sub(/.*:/, "", line); if (length(line) > 5) hidden[line] }
        }
        {
            for (secret in hidden)
                while (at = index($0, secret)) $0 = substr($0, 1, at - 1) "…" substr($0, at + length(secret))
            gsub(/K10[0-9a-f]*::[^" ]*/, "K10…")
            print
        }
    '
}

# ask SECONDS: as a server: answer with each node of the cluster: name, Ready, EtcdIsVoter; `?` where it is not told.
ask() {
    export KUBECACHEDIR=/dev/null # it shall leave nothing behind
    timeout "$1" "$binary" kubectl get --raw /readyz --request-timeout="$1s" >/dev/null 2>&1 && echo readyz=ok
    timeout "$1" "$binary" kubectl get nodes --request-timeout="$1s" -o jsonpath='{range .items[*]}node={.metadata.name} {.status.conditions[?(@.type=="Ready")].status}? {.status.conditions[?(@.type=="EtcdIsVoter")].status}?{"\n"}{end}' 2>/dev/null
    :
}
