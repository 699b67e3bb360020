#!/usr/bin/env bash
# Apache httpd with mod_dav on a loopback port, for core/tests/webdav.rs.
#
#   apache.sh PORT [tls|digest]
#
# With `digest`, it asks for digest authentication, with nonces that last two seconds.
# With `tls`, it speaks https with a certificate for 127.0.0.1 (and for no other name) of an authority made
# for the occasion, whose certificate is named in a second line. Prints the address with user and password once the server answers, and stays in the foreground. End it
# with TERM or INT: it stops the server and removes its files. Needs the package apache2.
set -euo pipefail

port=${1:?usage: apache.sh PORT [tls|digest]}
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

tls=
if [ "${2:-}" = tls ]; then
    scheme=https
    note="$dir/authority.pem"
    {
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=test authority" \
            -keyout "$dir/authority.key" -out "$dir/authority.pem"
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=test server" \
            -keyout "$dir/server.key" -out "$dir/server.csr"
        printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >"$dir/server.ext"
        openssl x509 -req -days 2 -in "$dir/server.csr" -extfile "$dir/server.ext" -CAcreateserial \
            -CA "$dir/authority.pem" -CAkey "$dir/authority.key" -out "$dir/server.pem"
    } 2>"$dir/openssl.log"
    tls="LoadModule ssl_module $modules/mod_ssl.so
SSLEngine On
SSLCertificateFile $dir/server.pem
SSLCertificateKeyFile $dir/server.key"
fi

auth="AuthType Basic
    AuthUserFile $dir/passwords"
if [ "${2:-}" = digest ]; then
    address="http://$user:$escaped@127.0.0.1:$port/dav?auth=digest"
    printf '%s:test:%s\n' "$user" "$(printf '%s:test:%s' "$user" "$password" | md5sum | cut -d ' ' -f 1)" >"$dir/passwords"
    auth="AuthType Digest
    AuthDigestProvider file
    AuthDigestNonceLifetime 2
    AuthUserFile $dir/passwords"
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
LoadModule auth_digest_module $modules/mod_auth_digest.so
LoadModule dav_module $modules/mod_dav.so
LoadModule dav_fs_module $modules/mod_dav_fs.so
DavLockDB "$dir/run/lock"
$tls
DocumentRoot "$dir/www"
KeepAlive On
MaxKeepAliveRequests 0
LimitRequestBody 0
<Directory "$dir/www">
    AllowOverride None
    AuthName "test"
    $auth
    Require valid-user
</Directory>
<Directory "$dir/www/dav">
    Dav On
</Directory>
CONF

serve apache2 -f "$dir/httpd.conf" -DFOREGROUND
