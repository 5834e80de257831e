//! Links the static release executable without what it never uses.
//!
//! It aborts on panic, so nothing reads tables that say how to unwind the stack.

use std::env;
use std::path::Path;

/// What only names another thread than the one that asks, which nothing does: `printf` and its
/// floating point would come with it.
const NEVER_CALLED: [(&str, &str); 1] = [("snprintf", "abort")];

/// ring's C code without its large tables (`OPENSSL_SMALL`, set in .cargo/config.toml) lacks two
/// functions that are faster versions of others, which take the same and give the same. The names
/// have ring's version in them: another version does not link, and this is to be looked at again.
const RING: [(&str, &str); 2] = [
    ("ring_core_0_17_14__p256_point_mul_base_vartime", "ring_core_0_17_14__p256_point_mul_base"),
    ("ring_core_0_17_14__x25519_scalar_mult_adx", "ring_core_0_17_14__x25519_scalar_mult_generic_masked"),
];

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts through the environment")]
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn main() {
    println!("cargo:rerun-if-changed=src/no-unwind-tables.ld");
    if variable("CARGO_CFG_TARGET_ENV") != "musl" || variable("PROFILE") != "release" {
        return;
    }
    // The linker itself, or a C compiler that calls one.
    let is_lld = Path::new(&variable("RUSTC_LINKER")).file_stem().is_some_and(|name| name == "rust-lld");
    let link = |arg: &str| println!("cargo:rustc-link-arg-bins={}{arg}", if is_lld { "" } else { "-Wl," });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/no-unwind-tables.ld");
    link(&format!("--script={}", script.display()));
    link("--no-eh-frame-hdr");
    let stand_in = |(name, other): &(&str, &str)| link(&format!("--defsym={name}={other}"));
    if is_lld {
        link("--icf=all");
        link("-znoseparate-code");
        NEVER_CALLED.iter().for_each(stand_in);
    }
    let flags = variable(&format!("CFLAGS_{}", variable("TARGET").replace('-', "_")));
    if !variable("CARGO_CFG_FEATURE").split(',').all(|feature| feature != "tls") && flags.contains("-DOPENSSL_SMALL") {
        let fewer = if variable("CARGO_CFG_TARGET_ARCH") == "x86_64" { 2 } else { 1 };
        RING[..fewer].iter().for_each(stand_in);
    }
}
