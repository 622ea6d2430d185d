//! The name under which programs ask for the shared library: that of its ABI, not that of this crate.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libmcapi.so.2");
}
