# shellcheck shell=sh
# Another private key in the key file of a node: POSIX sh, sent with node.sh and lease.sh before it.
#
# What runs, and what a reboot reads, has the old one until an apply has proven the new one.

# shellcheck disable=SC2154  # the names are those of node.sh
rekeyed=$state/$interface.rekeyed # there from the new key on until the rotation is over

# rekey: make a new key, once in a rotation; answer with the public one.
rekey() {
    test ! -L "$key" || die "$key is a link, which a new key would replace"
    if test -e "$rekeyed"; then
        public=$(wg pubkey <"$key") || die "$key holds no WireGuard key"
    else
        put_key wg genkey
        true >"$rekeyed" || die "$rekeyed can't be written: is the disk full, or read-only?"
        sync "$directory" "$state"
    fi
    printf 'public_key=%s\n' "$public"
}

# restore_key: the key of the configuration file is the node's again.
restore_key() {
    test "$(wg pubkey <"$key")" = "$(filed_key | wg pubkey)" || put_key filed_key
    end_rotation
}

# is_rekeyed: answer whether the key is one that `rekey` has made in this rotation.
is_rekeyed() {
    test ! -e "$rekeyed" || echo rekeyed=yes
}

filed_key() {
    sed -n 's/^PrivateKey = //p' "$config"
}

end_rotation() {
    rm -f "$rekeyed"
}

# find_obstacles DEVICE: what is in the way of a rotation by DEVICE: a key file that is a link, and rules of a firewall that
# name the interface, where none names DEVICE, which needs the same.
find_obstacles() {
    test ! -L "$key" || printf 'link=%s\n' "$key"
    rules=$({
        nft list ruleset
        iptables-legacy-save
        ip6tables-legacy-save
    } 2>/dev/null | awk '/^table / { own = /^table inet wireloom / } !own')
    case $rules in *"$1"*) return 0 ;; esac
    printf '%s\n' "$rules" | awk -v "device=$interface" '
        index($0, "\"" device "\"") || index($0 " ", " " device " ") { sub(/^[ \t]+/, ""); print "rule=" $0 }
    ' | head -n 8
}

# find_strays DEVICE ADDRESS...: those of them that packets would not be sent to by DEVICE, each with the way that they take.
find_strays() {
    device=$1
    shift
    for address in "$@"; do
        way=$(ip route get "$address" 2>&1 | head -n 1)
        case "$way " in *" dev $device "*) ;; *) printf 'stray=%s\n' "$way" ;; esac
    done
}
