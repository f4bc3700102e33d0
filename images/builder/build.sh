#!/bin/sh
# Builds what the messenger has brought into /build/in; log, exit code and image are left in /build/out.
# Images come from there alone: buildah fetches none.
in=/build/in
out=/build/out
result=localhost/mlplat-result:latest
exec > "$out/log" 2>&1
export TMPDIR="$HOME/tmp" XDG_RUNTIME_DIR="$HOME/run"
mkdir -p "$TMPDIR" "$XDG_RUNTIME_DIR"

until [ -e "$in/ready" ]; do
  sleep 0.2
done

load() {
  while read -r number name; do
    echo "Unpacking $name"
    id=$(buildah pull --quiet "oci:$in/base-$number:base") && buildah tag "$id" "$name" || return
  done < "$in/bases"
}

build() {
  buildah bud --pull-never --layers=false --format oci --file "$in/Containerfile" --tag "$result" "$in/context"
}

load && build && buildah push --quiet --disable-compression --format oci "$result" "dir:$out/result"
echo "$?" > "$out/.code"
mv "$out/.code" "$out/code"
