#!/usr/bin/env bash
# rclone's WebDAV server on a loopback port, for core/tests/webdav.rs.
#
#   rclone.sh PORT [FOLDER]
#
# Serves FOLDER, or an empty one. Prints the address with user and password once the server answers, and stays in
# the foreground. End it with TERM or INT: it stops the server and removes its files. Needs the package rclone.
set -euo pipefail

port=${1:?usage: rclone.sh PORT [FOLDER]}
. "$(dirname "${BASH_SOURCE[0]}")/serve.sh"

folder=${2:-$dir/www}
mkdir -p "$folder"
# The times are what a server that serves a local folder alone needs: it must see its own changes.
serve env RCLONE_CONFIG="$dir/none.conf" RCLONE_USER="$user" RCLONE_PASS="$password" \
    rclone serve webdav "$folder" --addr "127.0.0.1:$port" --baseurl /dav --cache-dir "$dir/cache" \
    --dir-cache-time 0s --poll-interval 0s --vfs-cache-mode off
