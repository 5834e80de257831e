#!/usr/bin/env bash
# A MariaDB node that has lost its Galera cluster lets clients in and answers `select 1`, and every other statement that
# touches no table, although it says itself "WSREP has not yet prepared node for application use" (1047) to the rest. The
# usual health check of pools and proxies is `select 1`.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill -9 "$server"; wait "$server" || true; } 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends mariadb-server mariadb-client galera-4 >/dev/null 2>&1
dpkg-query -W mariadb-server galera-4
chown nobody "$work"
as_nobody() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
as_nobody mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db --innodb-use-native-aio=0 \
    --datadir="$work/data" >/dev/null 2>&1
read -r port peer < <(python3 -c '
import socket
s = [socket.socket() for _ in range(2)]
[one.bind(("127.0.0.1", 0)) for one in s]
print(*(one.getsockname()[1] for one in s))')
# Not by the function: $! would be a shell.
setpriv --reuid=nobody --regid=nogroup --clear-groups mariadbd --no-defaults --bind-address=127.0.0.1 --port="$port" --datadir="$work/data" --socket="$work/socket" \
    --innodb-use-native-aio=0 --innodb-buffer-pool-size=8M --log-error="$work/log.err" --binlog-format=row \
    --wsrep-on=1 --wsrep-provider=/usr/lib/galera/libgalera_smm.so --wsrep-new-cluster --wsrep-cluster-address=gcomm:// \
    --wsrep-node-address=127.0.0.1 --wsrep-provider-options="gmcast.listen_addr=tcp://127.0.0.1:$peer" >/dev/null 2>&1 &
server=$!
sql() { mariadb --no-defaults -N -B -u root -h 127.0.0.1 -P "$port" -e "$1" 2>&1; }
for _ in $(seq 300); do
    [ "$(sql "select variable_value from information_schema.global_status where variable_name = 'wsrep_ready'")" = ON ] && break
    sleep 0.1
done
sql "create database app; create table app.t (i int primary key); insert into app.t values (1)"
look() {
    for statement in "select 1" "select now() is not null" "select i from app.t" "insert into app.t values (2)" \
        "select variable_value from information_schema.global_status where variable_name = 'wsrep_ready'"; do
        echo "$1: $statement: $(sql "$statement" | grep -m1 -E "^(ERROR|[0-9]|O)" || true)"
    done
}
look "in its cluster" | tee seen
# An address at which there is no cluster.
sql "set global wsrep_cluster_address = 'gcomm://127.0.0.1:1'" >/dev/null || true
look "outside" | tee -a seen
grep -q '^outside: select 1: 1$' seen
grep -q '^outside: select i from app.t: ERROR 1047 ' seen
grep -q "wsrep_ready': OFF$" seen
