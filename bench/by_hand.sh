#!/usr/bin/env bash
# A k3s cluster over WireGuard without wireloom, as an operator's script makes it: ssh and scp, and nothing is looked at
# twice. All machines side by side wherever they can be.
#
#   by_hand.sh KEY K3S IMAGES SERVER AGENT...
#
# KEY is for SSH, IMAGES a directory of archives; the others are addresses. Prints `PHASE SECONDS` after each phase.
set -euo pipefail

readonly key=$1 k3s=$2 images=$3
shift 3
readonly machines=("$@")
readonly options=(-F none -i "$key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

begun=$EPOCHREALTIME
ended() {
  local now=$EPOCHREALTIME
  awk -v phase="$1" -v from="$begun" -v to="$now" 'BEGIN { printf "%s %.3f\n", phase, to - from }'
  begun=$now
}

# shellcheck disable=SC2029 # what is filled in here is meant
on() { ssh "${options[@]}" "root@${machines[$1]}" "$2"; }

# each COMMAND NUMBER...: the command for each of these machines, side by side.
each() {
  local command=$1 number ids=() id
  shift
  for number; do
    "$command" "$number" &
    ids+=($!)
  done
  for id in "${ids[@]}"; do wait "$id"; done
}

make_key() {
  on "$1" 'umask 077; mkdir -p /etc/wireguard; wg genkey >/etc/wireguard/key; wg pubkey </etc/wireguard/key' >"$scratch/$1"
}

connect() {
  {
    printf 'Address = 10.99.0.%d/24\nListenPort = 51820\n' $(($1 + 1))
    for other in "${!machines[@]}"; do
      [[ $other == "$1" ]] || printf '[Peer]\nPublicKey = %s\nEndpoint = %s:51820\nAllowedIPs = 10.99.0.%d/32\n' \
        "$(<"$scratch/$other")" "${machines[other]}" $((other + 1))
    done
  } | on "$1" '
    umask 077
    { printf "[Interface]\nPrivateKey = "; cat /etc/wireguard/key -; } >/etc/wireguard/wg0.conf
    systemctl --quiet enable --now wg-quick@wg0'
}

greet() {
  on "$1" "for i in \$(seq ${#machines[@]}); do ping -q -c 1 -W 5 10.99.0.\$i >/dev/null || exit; done"
}

bring() {
  local images_there=/var/lib/rancher/k3s/agent/images
  on "$1" "mkdir -p $images_there"
  scp -q "${options[@]}" "$k3s" "root@${machines[$1]}:/usr/local/bin/k3s"
  scp -q "${options[@]}" "$images"/*.tar "root@${machines[$1]}:$images_there/"
}

# start NUMBER ROLE SERVICE: configured by stdin.
start() {
  on "$1" "
    umask 077
    mkdir -p /etc/rancher/k3s
    cat >/etc/rancher/k3s/config.yaml
    printf '%s\n' '[Unit]' 'Description=Lightweight Kubernetes' 'Wants=wg-quick@wg0.service' 'After=wg-quick@wg0.service' \
      '[Service]' 'Type=notify' 'ExecStart=/usr/local/bin/k3s $2' 'KillMode=process' 'Delegate=yes' 'LimitNOFILE=1048576' \
      'LimitNPROC=infinity' 'LimitCORE=infinity' 'TasksMax=infinity' 'TimeoutStartSec=0' 'Restart=always' 'RestartSec=5s' \
      '[Install]' 'WantedBy=multi-user.target' >/etc/systemd/system/$3.service
    systemctl daemon-reload
    systemctl --quiet enable --now $3"
}

# until_ready COUNT: as the server says.
until_ready() {
  on 0 "until test \$(/usr/local/bin/k3s kubectl get nodes --no-headers 2>/dev/null | grep -c ' Ready ') = $1; do sleep 0.5; done"
}

start_server() {
  printf '%s\n' 'cluster-init: true' 'node-ip: 10.99.0.1' 'advertise-address: 10.99.0.1' 'flannel-iface: wg0' |
    start 0 server k3s
}

start_agent() {
  printf '%s\n' 'server: https://10.99.0.1:6443' "token: $token" "node-ip: 10.99.0.$(($1 + 1))" 'flannel-iface: wg0' |
    start "$1" agent k3s-agent
}

each make_key "${!machines[@]}"
each connect "${!machines[@]}"
each greet "${!machines[@]}"
ended network
each bring "${!machines[@]}"
ended bringing
start_server
until_ready 1
ended server
token=$(on 0 'cat /var/lib/rancher/k3s/server/node-token')
each start_agent $(seq $((${#machines[@]} - 1)))
until_ready ${#machines[@]}
ended agents
