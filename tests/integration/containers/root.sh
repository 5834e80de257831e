#!/bin/sh
# root.sh EXECUTABLE [stack]: writes the file system of a test image to standard output as a tar.
#
# busybox and when-ready; with `stack` also PostgreSQL and Redis, taken from this machine.
set -eu
executable=$1
here=$(dirname "$(readlink -f "$0")")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/proc" "$root/sys" "$root/dev" "$root/srv"
chmod 755 "$root"
chmod 1777 "$root/tmp"
cp "$executable" "$root/when-ready"
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
# As the base of a build: a cargo that has built already.
printf '#!/bin/sh\nmkdir -p /out/bin && cp /when-ready /out/bin/\n' >"$root/bin/cargo"
printf '#!/bin/sh\n' >"$root/bin/rustup"
chmod +x "$root/bin/cargo" "$root/bin/rustup"
echo data >"$root/etc/not-executable"
printf 'root:x:0:0::/:/bin/sh\npostgres:x:70:70::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\npostgres:x:70:\nnogroup:x:65534:\n' >"$root/etc/group"
if [ "${2:-}" = stack ]; then
    cp -R "$here/stack" "$root/stack"
    postgres=$(printf '%s\n' /usr/lib/postgresql/* | sort -V | tail -n 1)
    share=/usr/share/postgresql/$(basename "$postgres")
    # Without JIT compilation, whose libraries are larger than all the rest.
    find "$postgres/bin" "$postgres/lib" "$share" -type f ! -path '*llvmjit*' ! -path '*/bitcode/*' |
        xargs cp --parents -t "$root"
    cp "$(readlink -f "$(command -v redis-server)")" "$root/bin/redis-server"
    cp "$(readlink -f "$(command -v redis-cli)")" "$root/bin/redis-cli"
    for program in postgres initdb pg_ctl psql; do
        ln -s "$postgres/bin/$program" "$root/bin/$program"
    done
    ldd "$postgres"/bin/postgres "$postgres"/bin/initdb "$postgres"/bin/pg_ctl "$postgres"/bin/psql \
        "$postgres"/lib/dict_snowball.so "$root/bin/redis-server" "$root/bin/redis-cli" |
        grep -o '/[^ ]*' | grep -v ':$' | sort -u | xargs cp -L --parents -t "$root"
fi
tar -C "$root" --owner=0 --group=0 -cf - .
