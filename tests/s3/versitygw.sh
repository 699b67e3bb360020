#!/usr/bin/env bash
# versitygw, an S3 service that keeps objects as files, on a loopback port, for core/tests/s3.rs.
#
#   versitygw.sh PORT
#
# Prints the address of a bucket with its keys once the server answers, and stays in the foreground. End it
# with TERM or INT: it stops the server and removes its files. Needs versitygw on the PATH.
set -euo pipefail

port=${1:?usage: versitygw.sh PORT}
. "$(dirname "${BASH_SOURCE[0]}")/../webdav/serve.sh"

mkdir "$dir/objects" "$dir/objects/mailbox" "$dir/facts"
address="s3://access:s3cret%2Fkey@mailbox/in%20a%20prefix?endpoint=http://127.0.0.1:$port"
serve env ROOT_ACCESS_KEY=access ROOT_SECRET_KEY=s3cret/key versitygw --quiet --keep-alive \
    --port "127.0.0.1:$port" posix --sidecar "$dir/facts" "$dir/objects"
