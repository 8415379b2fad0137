#!/bin/sh
# Sets up the inside of one network namespace of a lab, from the files of the plan.
# Runs in that namespace:  sh network.sh DIRECTORY
set -eu
directory=$1

while read -r path value; do
    # The path is a pattern on purpose: one line for every interface there is.
    for file in /proc/sys/$path; do
        printf '%s\n' "$value" >"$file"
    done
done <"$directory/sysctl"
ip -batch "$directory/ip"
if [ -e "$directory/nft" ]; then
    nft -f "$directory/nft"
fi
