#!/usr/bin/env bash
# Debian's retry(1) runs a command again that exits with any failure, 143 and 137 too, and gives up after the first try of
# one that dies of a signal: a client that crashes, or is killed by the OOM killer, while its server comes up is not tried
# again, whatever --times says. What it had printed is lost.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends retry >/dev/null 2>&1
dpkg-query -W retry
# $1: what the command does.
look() {
    local status=0
    : >tries
    ( ulimit -c 0; timeout 30 retry --times=3 --delay=1 -- sh -c "echo try >>tries; echo said; $1" ) >said 2>&1 || status=$?
    echo "$1: tried $(wc -l <tries) times, its words seen $(grep -cx said said || true) times, exit $status"
}
for end in "exit 1" "exit 137" "exit 143" 'kill -KILL $$' 'kill -TERM $$' 'kill -SEGV $$'; do
    look "$end"
done | tee seen
for end in 1 137 143; do
    grep -q "^exit $end: tried 3 times, its words seen 3 times, exit $end$" seen
done
for end in KILL:137 TERM:143 SEGV:139; do
    grep -q "^kill -${end%:*} \$\$: tried 1 times, its words seen 0 times, exit ${end#*:}$" seen
done
