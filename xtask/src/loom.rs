//! `cargo xtask test --only loom`: what threads share, in every order of theirs. Says how many
//! orders each model had.

use crate::process::{self, BUILD_LIMIT};
use crate::steps::Outcome;
use crate::{test, workspace};

/// Where the models are.
const MODELS: &str = "platform::drive::models";

pub(crate) fn check() -> Outcome {
    let mut models = process::cargo();
    models
        .args(["test", "--release", "--package", "htp-runtime", "--lib", "--features", "std,os"])
        .arg("--target-dir")
        .arg(workspace::target_dir().join("loom"))
        .args(["--", MODELS, "--nocapture", "--test-threads", "1"])
        .env("RUSTFLAGS", "--cfg loom")
        // An exploration gains nothing from one unit for all.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    match process::succeed(&mut models, BUILD_LIMIT) {
        Ok(output) => {
            let orders = output.lines().filter(|line| line.ends_with(" orders"));
            let line = |line: &str| line.rsplit(" ... ").next().unwrap_or(line).to_owned();
            let report = orders.map(line).collect::<Vec<_>>().join("\n");
            Outcome { report: Some(report), ..Outcome::new(test::count_tests(&output), None) }
        }
        Err(error) => Outcome::from(Err(error)),
    }
}
