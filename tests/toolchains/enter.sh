#!/usr/bin/env bash
# Runs a command in a chroot. Called by chroot.sh, in mount and process namespaces of its own.
#
#   enter.sh ROOT [--bind PATH]… [--env NAME=VALUE]… DIR COMMAND…
set -euo pipefail

root=$1
shift
binds=()
settings=("HOME=/root" "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "TERM=${TERM:-dumb}")
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
  [ -z "${!name:-}" ] || settings+=("$name=${!name}")
done
while true; do
  case "$1" in
    --bind) binds+=("$2") ;;
    --env) settings+=("$2") ;;
    *) break ;;
  esac
  shift 2
done
dir=$1
shift
[ "$dir" = / ] || binds+=("$dir")

mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
# The network and the trusted certificates as they are now, not as they were when the chroot was made.
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
mount --bind "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/ssl/certs/ca-certificates.crt"
for path in "${binds[@]}"; do
  mkdir -p "$root$path"
  mount --bind "$path" "$root$path"
done

# Not `exec`: this shell is the first process of its namespace and stays, to bury the orphans.
status=0
chroot "$root" env -i --chdir="$dir" "${settings[@]}" "$@" || status=$?
exit "$status"
