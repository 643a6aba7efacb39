//! Has the linker list what refers to what; `embedded/panics` reads it.

fn main() {
    println!("cargo:rustc-link-arg-bins=--emit-relocs");
    println!("cargo:rerun-if-changed=build.rs");
}
