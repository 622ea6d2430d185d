//! A rank is continued in another process only where code lies at the same addresses there. Node
//! programs are built so with `node.toml`; the tests of this crate get by with a plain `-no-pie`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-tests=-no-pie");
}
