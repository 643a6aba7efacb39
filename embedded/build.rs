//! Where the memory is, and how the linker is to lay out the program; for both packages that run on a board.

use std::{env, fs, io, path::Path};

/// Not `memory.x`: the linker would find that in the current directory, whichever program it links.
const MEMORY: &str = "board.x";

fn main() -> io::Result<()> {
    // Cargo sets both.
    let [out, package] = ["OUT_DIR", "CARGO_PKG_NAME"].map(|name| env::var(name).unwrap_or_default());
    fs::copy(MEMORY, Path::new(&out).join("memory.x"))?;
    println!("cargo:rerun-if-changed={MEMORY}");
    println!("cargo:rustc-link-search={out}");
    println!("cargo:rustc-link-arg=--nmagic");
    println!("cargo:rustc-link-arg=-Tlink.x");
    if package == "heartbeat-firmware" {
        println!("cargo:rustc-link-arg=-Tdefmt.x");
    }
    Ok(())
}
