#!/usr/bin/env bash
# The reference Worker in workerd on a loopback port, for core/tests/cloudflare.rs.
#
#   serve.sh PORT FOLDER
#
# FOLDER has the packages of package-lock.json; the Worker is copied there. Prints its address once it answers,
# and stays in the foreground. End it with TERM or INT.
set -euo pipefail

port=${1:?usage: serve.sh PORT FOLDER}
folder=${2:?usage: serve.sh PORT FOLDER}
here="$(dirname "${BASH_SOURCE[0]}")"
cp -r "$here/serve.mjs" "$here/tsconfig.json" "$here/src" "$folder/"
. "$here/../webdav/serve.sh"

address="http://127.0.0.1:$port"
serve node "$folder/serve.mjs" "$port"
