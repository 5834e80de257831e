//! Links the static release executable without tables that say how to unwind the stack: it aborts on panic, so nothing
//! reads them. CONTRIBUTING.md says what that saves and how it fails.

use std::env;
use std::path::Path;

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
    let prefix = if is_lld { "" } else { "-Wl," };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/no-unwind-tables.ld");
    println!("cargo:rustc-link-arg-bins={prefix}--script={}", script.display());
    println!("cargo:rustc-link-arg-bins={prefix}--no-eh-frame-hdr");
}
