# Debian chroots, for tools that the release of this machine does not package. Sourced, not run.
#
#   chroot_ready NAME SUITE PACKAGE…                                     makes the chroot, once
#   chroot_run NAME [--bind PATH]… [--env NAME=VALUE]… DIR COMMAND…      runs a command in it
#
# Both need root, CACHE (a folder) and the function `apt` of tests/run.sh.

TOOLCHAINS="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"

# chroot_ready NAME SUITE PACKAGE… : a minimal SUITE with these packages, in $CACHE/NAME. It is made under
# another name and renamed at the end, so what an interrupted attempt left behind is never taken for ready.
# A chroot that is there is used as it is, however old: remove the folder to have it made again.
chroot_ready() {
  local name="$1" suite="$2" root="$CACHE/$1" stamp="${*:2}" lock
  chroot_has "$root" "$stamp" && return 0
  [ "$(id -u)" = 0 ] || { echo "only root can make a chroot of Debian $suite: run this as root" >&2; return 1; }
  mkdir -p "$CACHE" && apt debootstrap debian-archive-keyring ca-certificates util-linux || return 1
  (
    flock "$lock"
    # Another run may have made it while this one waited.
    chroot_has "$root" "$stamp" && exit 0
    echo "making a chroot of Debian $suite in $root: once, a minute or two" >&2
    # Never across a mount, should somebody have mounted something there.
    rm -rf --one-file-system "$root.part" && chroot_make "$root.part" "${@:2}" &&
    rm -rf --one-file-system "$root" && printf '%s\n' "$stamp" >"$root.part/etc/chroot-stamp" && mv "$root.part" "$root"
  ) {lock}>"$CACHE/$name.lock"
}

# chroot_has ROOT STAMP : whether ROOT was made for just that.
chroot_has() { [ "$(cat "$1/etc/chroot-stamp" 2>/dev/null)" = "$2" ]; }

# chroot_make ROOT SUITE PACKAGE… : fills ROOT, with packages from where this machine gets its own.
chroot_make() {
  local root="$1" suite="$2" log="$1.log" mirror
  mirror="$(debian_mirror)" || return 1
  if {
    # Alone with its mounts: what debootstrap mounts is gone with it.
    http_proxy="${http_proxy:-$(apt_setting Acquire::http::Proxy)}" \
      https_proxy="${https_proxy:-$(apt_setting Acquire::https::Proxy)}" \
      isolated debootstrap --variant=minbase "$suite" "$root" "$mirror" &&
    # How apt here gets at packages (proxies, certificates, clocks), but no hooks and no further indexes.
    apt-config dump Acquire | grep -v '^Acquire::IndexTargets' >"$root/etc/apt/apt.conf.d/00host" &&
    # Files for enter.sh to mount on.
    mkdir -p "$root/etc/ssl/certs" && touch "$root/etc/resolv.conf" "$root/etc/ssl/certs/ca-certificates.crt" &&
    isolated bash "$TOOLCHAINS/enter.sh" "$root" --env DEBIAN_FRONTEND=noninteractive / sh -ec '
      apt-get update
      apt-get install -y --no-install-recommends "$@"
      apt-get clean
      rm -rf /var/lib/apt/lists/*' sh "${@:3}"
  } >"$log" 2>&1; then
    rm -f "$log"
  else
    tail -n 40 "$log" >&2
    echo "no chroot of Debian $suite could be made from $mirror: the reason stands above, all of it in $log" >&2
    return 1
  fi
}

# chroot_run NAME [--bind PATH]… [--env NAME=VALUE]… DIR COMMAND… : runs COMMAND as root in the chroot NAME, in
# the folder DIR. The checkout, DIR and every --bind stand there under the paths they have outside, so that
# messages point at real files. The environment is HOME, PATH, TERM, the proxies and every --env.
chroot_run() {
  isolated bash "$TOOLCHAINS/enter.sh" "$CACHE/$1" --bind "${TOOLCHAINS%/tests/toolchains}" "${@:2}"
}

# isolated COMMAND… : with mounts and processes of its own. All of them end with it, and it ends with the
# shell that called it, whatever ends that.
isolated() { setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child "$@"; }

# Where this machine gets Debian from.
debian_mirror() {
  local site
  for _ in 1 2; do
    # Who is behind an archive is known from its lists only.
    site="$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SITE)' 'Created-By: Packages' | sed -n 's/^Debian|Debian|//p' | head -n 1)"
    [ -n "$site" ] && { printf '%s\n' "$site"; return 0; }
    apt-get update -qq || break
  done
  echo "apt knows no Debian archive here: name one in /etc/apt/sources.list" >&2
  return 1
}

# apt_setting NAME : its value, or nothing.
apt_setting() {
  local value=
  eval "$(apt-config shell value "$1")"
  [ "$value" = DIRECT ] || printf '%s\n' "$value"
}
