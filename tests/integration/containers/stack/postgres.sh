#!/bin/sh
# As the official image does it: a server of its own for the first set-up, then the real one.
set -e
export PGDATA=/tmp/data
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --no-sync --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C >/dev/null
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl --wait --silent --options="-c listen_addresses='' -c unix_socket_directories=/tmp" start
    psql -h /tmp -q postgres -c "create role app login password 'p@ss'" -c 'create database app owner app'
    pg_ctl --wait --silent --mode=fast stop
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp -c fsync=off
