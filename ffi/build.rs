//! How the shared library is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let unix = std::env::var_os("CARGO_CFG_UNIX").is_some();
    if !unix || target("VENDOR") == "apple" {
        return;
    }
    // The library's threads run until the process ends, so `dlclose` must not take their code away.
    link_arg("-Wl,-z,nodelete");
    // Nothing else names the C library. A library that does not say which one it was linked with
    // gets the oldest version of every function, among them condition variables that know no
    // monotonic clock.
    if target("ENV") == "gnu" {
        // Where it is not part of the C library yet.
        link_arg("-lpthread");
    }
    link_arg("-lc");
    link_arg("-Wl,-z,defs");
    // It would be a hash of debug information, too, and that names folders of the machine.
    link_arg("-Wl,--build-id=none");
    // Rust's own libraries are compiled to unwind and name this function in their unwind tables;
    // this library aborts instead. Link-time optimization drops the name, other builds keep it.
    link_arg("-Wl,--defsym=rust_eh_personality=0");
}

fn link_arg(argument: &str) {
    println!("cargo::rustc-cdylib-link-arg={argument}");
}
