#!/usr/bin/env bash
# runit's `sv check NAME` says "ok: down: … want up" and exits 0 for a service that exits as soon as it is started, again and
# again, each time that it is asked; so does `sv status`. It exits 1 where a service runs and its ./check fails: one that is
# unwell is reported, one that is not there is not. As a health check `sv check` proves nothing.
set -euo pipefail
work=$(mktemp -d)
supervisors=
trap 'kill $supervisors 2>/dev/null || true; wait || true; rm -rf "$work"' EXIT
cd "$work"
apt-get -o APT::Sandbox::User=root download -q runit >/dev/null
dpkg -x runit_*.deb root
basename runit_*.deb
bin=$work/root/usr/bin
mkdir crashes runs unwell
printf '#!/bin/sh\necho start >>../starts\nexit 1\n' >crashes/run
printf '#!/bin/sh\nexec sleep 1000\n' | tee runs/run >unwell/run
printf '#!/bin/sh\nexit 1\n' >unwell/check
chmod 755 */run unwell/check
for service in crashes runs unwell; do
    "$bin/runsv" "$service" >/dev/null 2>&1 &
    supervisors+=" $!"
done
for _ in $(seq 100); do
    [ "$(cat starts 2>/dev/null | wc -l)" -ge 2 ] && break
    sleep 0.1
done
# $1: check or status, $2: the service.
look() {
    local status=0 said
    said=$("$bin/sv" -w 2 "$1" "$work/$2") || status=$?
    echo "sv $1 $2: exits $status: $(sed "s|$work/||; s/[0-9][0-9]*s\b/N s/g; s/pid [0-9]*/pid N/" <<<"$said")"
}
{
    # At other points of the second that lies between two starts.
    for _ in $(seq 20); do
        look check crashes
        sleep 0.17
    done
    look status crashes
    look check runs
    look check unwell
} | tee all | uniq -c | sed 's/^ *//; s/^1 //' | tee seen
echo "starts: $(wc -l <starts)"
[ "$(grep -c '^sv check crashes: exits 0: ok: down: crashes: N s, normally up, want up' all)" -ge 12 ]
if grep -q '^sv check crashes: exits [1-9]' all; then
    exit 1
fi
grep -q '^sv status crashes: exits 0: ' all
grep -q '^sv check runs: exits 0: ok: run' all
grep -q '^sv check unwell: exits 1: timeout: run' all
[ "$(wc -l <starts)" -ge 4 ]
