//! What the linker must be told of a bare-metal image. Nothing, for the ordinary program that the
//! package is without `cfg(bare_metal)`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=link.ld");
    if std::env::var_os("CARGO_CFG_BARE_METAL").is_none() {
        return;
    }
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let script = format!("-T{folder}/link.ld");
    // The build identifier would be a note beside the one that QEMU looks for.
    for arg in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", &script]
    {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
}
