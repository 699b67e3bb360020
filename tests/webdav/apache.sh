#!/usr/bin/env bash
# Apache httpd with mod_dav on a loopback port, for core/tests/webdav.rs.
#
#   apache.sh PORT
#
# Prints the address with user and password once the server answers, and stays in the foreground. End it
# with TERM or INT: it stops the server and removes its files. Needs the package apache2.
set -euo pipefail

port=${1:?usage: apache.sh PORT}
. "$(dirname "${BASH_SOURCE[0]}")/serve.sh"

modules=${APACHE_MODULES:-/usr/lib/apache2/modules}
mkdir "$dir/www" "$dir/www/dav" "$dir/run"
htpasswd -bcs "$dir/passwords" "$user" "$password" 2>/dev/null

# Started by root, the server gives its rights away.
owner=
if [ "$(id -u)" = 0 ]; then
    owner=$'User www-data\nGroup www-data'
    chown -R www-data:www-data "$dir"
fi

cat >"$dir/httpd.conf" <<CONF
ServerName localhost
ServerRoot "$dir"
Listen 127.0.0.1:$port
PidFile "$dir/run/httpd.pid"
DefaultRuntimeDir "$dir/run"
ErrorLog "$dir/error.log"
$owner
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authn_core_module $modules/mod_authn_core.so
LoadModule authn_file_module $modules/mod_authn_file.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule authz_user_module $modules/mod_authz_user.so
LoadModule auth_basic_module $modules/mod_auth_basic.so
LoadModule dav_module $modules/mod_dav.so
LoadModule dav_fs_module $modules/mod_dav_fs.so
DavLockDB "$dir/run/lock"
DocumentRoot "$dir/www"
KeepAlive On
MaxKeepAliveRequests 0
<Directory "$dir/www">
    AllowOverride None
    AuthType Basic
    AuthName "test"
    AuthUserFile "$dir/passwords"
    Require valid-user
</Directory>
<Directory "$dir/www/dav">
    Dav On
</Directory>
CONF

serve apache2 -f "$dir/httpd.conf" -DFOREGROUND
