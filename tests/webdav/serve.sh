# Common part of the server scripts; sourced with $port set.
#
# Prints the address ($address where that is set), and $note in a second line if it is set. Sets $dir (temporary, removed at the end), $user and $password (not ASCII, so that the encoding of the
# credentials is tested), and defines `serve COMMAND…`.

user=user
password='s3cret-pässword'
escaped='s3cret-p%C3%A4ssword'
dir=$(mktemp -d "${TMPDIR:-/tmp}/interocitor-webdav.XXXXXX")
chmod 755 "$dir"
scheme=http
address=
note=
server=

finish() {
    trap - EXIT INT TERM
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 143' INT TERM

# Runs the server, tells its address when it answers, and waits for its end.
serve() {
    "$@" >"$dir/output.log" 2>&1 &
    server=$!
    for _ in $(seq 200); do
        if ! kill -0 "$server" 2>/dev/null; then
            cat "$dir"/*.log >&2
            exit 1
        fi
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "${address:-$scheme://$user:$escaped@127.0.0.1:$port/dav}"
            [ -z "$note" ] || echo "$note"
            wait "$server"
            return
        fi
        sleep 0.05
    done
    echo "the server does not answer on port $port" >&2
    cat "$dir"/*.log >&2
    exit 1
}
