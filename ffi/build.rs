//! How the shared library is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let unix = std::env::var_os("CARGO_CFG_UNIX").is_some();
    let apple = std::env::var("CARGO_CFG_TARGET_VENDOR").is_ok_and(|vendor| vendor == "apple");
    if unix && !apple {
        // The library's threads run until the process ends, so `dlclose` must not take their code
        // away.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
