#!/usr/bin/env bash
# nginx with its module dav-ext on a loopback port, for core/tests/webdav.rs.
#
#   nginx.sh PORT
#
# Prints the address with user and password once the server answers, and stays in the foreground. End it with
# TERM or INT: it stops the server and removes its files. Needs the packages nginx-light and
# libnginx-mod-http-dav-ext; apache2's utilities make the file of passwords.
set -euo pipefail

port=${1:?usage: nginx.sh PORT}
. "$(dirname "${BASH_SOURCE[0]}")/serve.sh"

mkdir "$dir/www" "$dir/www/dav" "$dir/spool" "$dir/other"
htpasswd -bcs "$dir/passwords" "$user" "$password" 2>/dev/null

# Started by root, the server gives its rights away.
owner=
if [ "$(id -u)" = 0 ]; then
    owner='user www-data;'
    chown -R www-data:www-data "$dir"
fi

cat >"$dir/nginx.conf" <<CONF
load_module ${NGINX_MODULES:-/usr/lib/nginx/modules}/ngx_http_dav_ext_module.so;
$owner
daemon off;
pid $dir/nginx.pid;
error_log $dir/error.log;
events {}
http {
    access_log off;
    client_max_body_size 0;
    client_body_temp_path $dir/spool;
    proxy_temp_path $dir/other;
    fastcgi_temp_path $dir/other;
    uwsgi_temp_path $dir/other;
    scgi_temp_path $dir/other;
    dav_ext_lock_zone zone=locks:1m;
    server {
        listen 127.0.0.1:$port;
        keepalive_requests 1000000;
        location /dav {
            root $dir/www;
            auth_basic test;
            auth_basic_user_file $dir/passwords;
            dav_methods PUT DELETE MKCOL COPY MOVE;
            dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK;
            dav_ext_lock zone=locks;
        }
    }
}
CONF

serve nginx -p "$dir" -c "$dir/nginx.conf" -e "$dir/error.log"
