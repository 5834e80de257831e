# What dist/build and dist/check share; sourced by bash, in the repository's root.

name=when-ready
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
out=target/dist

# The processors: ours, Rust's target, Zig's, Debian's, RPM's, the image's platform, qemu's.
all_platforms=(
    "x86_64 x86_64-unknown-linux-musl x86_64-linux-musl amd64 x86_64 linux/amd64 x86_64"
    "aarch64 aarch64-unknown-linux-musl aarch64-linux-musl arm64 aarch64 linux/arm64 aarch64"
    "i686 i686-unknown-linux-musl x86-linux-musl i386 i686 linux/386 i386"
    "armv7 armv7-unknown-linux-musleabihf arm-linux-musleabihf armhf armv7hl linux/arm/v7 arm"
    "riscv64 riscv64gc-unknown-linux-musl riscv64-linux-musl riscv64 riscv64 linux/riscv64 riscv64"
)

# Sets `platforms`: all, or this machine's alone with --quick.
choose_platforms() {
    platforms=()
    local platform
    for platform in "${all_platforms[@]}"; do
        if [ "${1:-}" != --quick ] || [ "${platform%% *}" = "$(uname -m)" ]; then
            platforms+=("$platform")
        fi
    done
}

# Sets the names of one platform.
read_platform() {
    read -r arch rust zig deb rpm oci qemu <<<"$1"
}

executable() {
    echo "target/dist-build/$rust/release/$name"
}

# Installs Zig, the C compiler for all other machines, with `install` of tests/lib.sh.
install_zig() {
    local there=$PWD/target/dist-tools
    install python3 python3-pip
    if [ ! -x "$there/ziglang/zig" ]; then
        python3 -m pip install --quiet --only-binary :all: --require-hashes --target "$there" -r dist/zig.txt
    fi
    export ZIG=$there/ziglang/zig ZIG_GLOBAL_CACHE_DIR=$there/cache ZIG_LOCAL_CACHE_DIR=$there/cache
    printf '#!/bin/sh\nexec "%s" ar "$@"\n' "$ZIG" >"$there/ar"
    chmod +x "$there/ar"
}
