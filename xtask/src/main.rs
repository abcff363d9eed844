//! Developer commands.

mod abi;
mod header;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let check = args.iter().any(|arg| arg == "--check");
    match args.first().map(String::as_str) {
        Some("abi") => abi::run(check),
        Some("header") => header::run(check),
        _ => anyhow::bail!("usage: cargo xtask (abi | header) [--check]"),
    }
}
