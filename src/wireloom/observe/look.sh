# shellcheck shell=sh
# What the probes are made of, where it is more than a line. All of them run on every node in every command, so each
# process counts: what the shell does by itself costs next to nothing, a program about a millisecond of a processor.

# shellcheck disable=SC2154,SC2034  # interface, files, mark and guard_line are the caller's, who prints what is read here
newline='
'

# show FILE: a small file, as it is. The shell reads byte by byte: not for large ones.
show() {
    while IFS= read -r line; do printf '%s\n' "$line"; done <"$1" && printf %s "$line"
}

# read_release: $release is how the distribution calls itself, and on a second line what it is and is like
# (os-release(5)). In a shell of its own: where the file is missing, `.` ends the shell (POSIX, special built-ins).
read_release() {
    # shellcheck disable=SC1091
    release=$(. /etc/os-release && printf '%s\n' "$PRETTY_NAME" "$ID $ID_LIKE") || release=unknown
}

# read_kernel: $kernel is its release and architecture, as `uname -rm` says. Linux tells the one for long, the other
# since 6.1.
read_kernel() {
    { read -r kernel </proc/sys/kernel/osrelease && read -r machine </proc/sys/kernel/arch; } 2>/dev/null &&
        kernel="$kernel $machine" || kernel=$(uname -rm)
}

# show_clock: seconds since 1970. A date without nanoseconds (BusyBox) prints the %N as it is, or nothing.
show_clock() {
    now=$(date +%s.%N)
    case $now in *[!0-9.]* | *.) date +%s ;; *) echo "$now" ;; esac
}

# read_modes: $key_mode and $config_mode, each MODE/OWNER, in octal and by number, empty where nothing is there. A link that leads nowhere is
# somebody's: `test -e` alone takes it for nothing.
read_modes() {
    key_mode='' config_mode=''
    # shellcheck disable=SC2046
    if test -e "$key" || test -e "$conf"; then set -- $(stat -Lc %a/%u "$key" "$conf"); fi
    if test -e "$key"; then key_mode=${1:-?} && shift; elif test -L "$key"; then key_mode=0; fi
    if test -e "$conf"; then config_mode=${1:-?}; elif test -L "$conf"; then config_mode=0; fi
}

# show_key: mode with owner, and public key; nothing at all where there is no file.
show_key() {
    public=
    test -n "$key_mode" || return 0
    echo "$key_mode"
    public=$(wg pubkey <"$key") && echo "$public"
}

# show_config: mode with owner, and how many keys are in it; where it is ours also `ours`, the public key of its key line, and
# its text without that line. $filed is the guard that it loads.
show_config() {
    filed='' first=''
    test -n "$config_mode" || return 0
    echo "$config_mode"
    read -r first <"$conf"
    case $first in "$mark"*) ;; *) count_keys && return ;; esac
    text=$(strip_config "$key" "$conf" && echo end)
    keys=${text%%"$newline"*} text=${text#*"$newline"}
    whose=${text%%"$newline"*} text=${text#*"$newline"}
    filed=${text%%"$newline"*} text=${text#*"$newline"}
    # One that wg refuses it shows on stderr: that goes nowhere.
    test "$whose" = same || public=$(sed -n 's/^PrivateKey = //p' "$conf" | wg pubkey)
    printf '%s\nours\n%s\n%s' "$keys" "$public" "${text%end}"
}

# count_keys: all that is told of a file that is not ours.
count_keys() {
    if test -e "$conf"; then grep -ciE '^[[:space:]]*PrivateKey[[:space:]]*=' "$conf"; else echo 0; fi
    return 0
}

# strip_config KEY CONFIG: how many keys are in our file; `same` if it is the one of the key file; the guard that it
# loads; its text without the line of the key.
#
# Another line that holds a key (commented out, or a preshared one) is not wireloom's: it is told, without the key, so
# that the file is seen to differ.
strip_config() {
    awk -v "guard_line=$guard_line" '
        BEGIN { if ((getline private <ARGV[1]) > 0) own = "PrivateKey = " private; ARGV[1] = "" }
        { low = tolower($0) }
        low ~ /^[ \t\r\f\v]*privatekey[ \t\r\f\v]*=/ { keys++; if ($0 == own) whose = "same"; next }
        match(low, /(private|preshared)key[ \t\r\f\v]*=/) { $0 = substr($0, 1, RSTART + RLENGTH - 1) " (hidden)" }
        index($0, guard_line) == 1 && /\047$/ {
            guards++
            filed = substr($0, length(guard_line) + 1, length($0) - length(guard_line) - 1)
        }
        { text[++lines] = $0 }
        END {
            print keys + 0; print whose; print guards == 1 ? filed : ""
            for (line = 1; line <= lines; line++) print text[line]
        }
    ' "$@"
}

# show_others DIRECTORY: wireloom's other interfaces, by their notes there, and by the files of those that run, which come
# before the first note: of each the interface, its fleet, and `guard` where its file loads one.
show_others() {
    for file in "$1"/*.state "${conf%/*}"/*.conf; do
        other=${file##*/}
        other=${other%.*}
        if test "$other" = "$interface" || ! test -e "$file"; then continue; fi
        read_fleet "$1" || continue
        guarded=$(grep -qsF -e "$guard_line" "${conf%/*}/$other.conf" && echo guard)
        echo "$other $fleet $guarded"
    done
}

# read_fleet DIRECTORY: $fleet is whose $file is; fails where that is not wireloom's, has a note, which tells it, or no
# interface: a copy that somebody keeps beside ours is no fleet.
read_fleet() {
    case $file in
    *.state) fleet=$(sed -n 's/^fleet=//p' "$file") ;;
    *)
        test -d "/proc/sys/net/ipv4/conf/$other" && test -f "$file" && test ! -e "$1/$other.state" || return
        read -r first <"$file" || return
        fleet=${first#"$mark for "*" of the fleet "}
        test "$fleet" != "$first" && fleet=${fleet%%:*}
        ;;
    esac
}

# show_client: where the operator's connection comes from. sudo takes that out of our environment (sudoers(5), env_reset),
# but has it in its own (proc(5)).
show_client() {
    connection=${SSH_CONNECTION:-} pid=$PPID
    while test -z "$connection" && test "${pid:-0}" -gt 1; do
        connection=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^SSH_CONNECTION=//p')
        pid=$(show_status PPid: "$pid")
        pid=${pid#* }
    done
    echo "${connection%% *}"
}

# show_guard WORDS: whether the table is what the file loads. nft words a table its own way, another one in each
# version. The last apply kept its words for what the file loads; where there are none (a reboot), it is loaded in a
# namespace that lasts for the moment.
show_guard() {
    test -n "$table" || return 0
    if printf '%s\n%s\n' "$filed" "$table" | cmp -s - "$1" || test "$table" = "$(load_aside)"; then
        echo as filed
    else
        echo other
    fi
}

load_aside() {
    # shellcheck disable=SC2016
    unshare --net sh -c 'nft "$1" && nft -s -t list table inet wireloom' sh "$filed"
}

# show_routing -4|-6: routes and rules, a line each. A kernel without policy routing says nothing of rules.
show_routing() {
    ip -j "$1" -batch - <<END
route show table all
rule show
END
}

# show_keeper FILE: 1, 0 or -1. dash reads byte by byte, and /proc/sys answers the first time only.
show_keeper() {
    { read -r keeper || :; } <"$1"
    case $keeper in -*) echo -1 ;; *) echo "$keeper" ;; esac
}

# show_filter FILE...: the number that each of them holds; see show_keeper.
show_filter() {
    for one in "$@"; do
        { read -r number || :; } <"$one" && printf '%s ' "$number"
    done
}

# show_status WORD [PID]: a line of /proc/PID/status (proc(5)), of this shell or of that process.
show_status() {
    while read -r word value; do
        test "$word" != "$1" || { echo "$word $value" && return; }
    done <"/proc/${2:-$$}/status"
}

# show_disks DIRECTORY...: of each, or of what is above it where it is not there: `ro` or `rw`, blocks free and their
# size, files and files free.
#
# rmdir of what is not there changes nothing, and says whether it would have been allowed to: BusyBox's `test -w` lets
# root write anywhere.
show_disks() {
    places='' asked=''
    for directory in "$@"; do
        find_place
        places="$places $place" asked="$asked ${place%/}/.wireloom-none"
    done
    # shellcheck disable=SC2086
    refused=$(rmdir $asked 2>&1) sizes="$newline$(stat -f -c '%n %a %S %c %d' $places)$newline"
    for directory in "$@"; do
        find_place
        how=rw size=
        case $refused in *"${place%/}/.wireloom-none: Read-only"* | *"${place%/}/.wireloom-none': Read-only"*) how=ro ;; esac
        case $sizes in *"$newline$place "*) size=${sizes#*"$newline$place "} ;; esac
        echo "$directory $how ${size%%"$newline"*}"
    done
}

find_place() {
    place=$directory
    until test -d "$place"; do place=${place%/*} && place=${place:-/}; done
}

# show_port PORT HEX: whether somebody has it, and who where that can be told; not that we have it ourselves.
show_port() {
    case $running in
    *"= $1 "*) echo taken ;;
    *) grep -q "^ *[0-9]*: [0-9A-F]*:$2 " /proc/net/udp /proc/net/udp6 && echo taken && ss -Hanup "sport = :$1" ;;
    esac
}
