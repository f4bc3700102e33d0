#!/bin/sh
# Makes the database at the first start, then serves it. POSTGRES_USER owns POSTGRES_DB; POSTGRES_PASSWORD lets in.
set -eu
: "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD}"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  rm -rf "$PGDATA.new"
  umask 077
  printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
  initdb --pgdata "$PGDATA.new" --username "$POSTGRES_USER" --pwfile /tmp/password --auth scram-sha-256 \
    --encoding UTF8 --locale C.UTF-8
  rm /tmp/password
  echo "host all all all scram-sha-256" >> "$PGDATA.new/pg_hba.conf"
  if [ "${POSTGRES_DB:-postgres}" != postgres ]; then
    printf 'CREATE DATABASE "%s";\n' "$POSTGRES_DB" | postgres --single -D "$PGDATA.new" postgres >/dev/null
  fi
  mv "$PGDATA.new" "$PGDATA"
fi
exec postgres -D "$PGDATA" -c "listen_addresses=*" -c "unix_socket_directories=/tmp"
