//! `decode FIRMWARE FRAMES`: the log of a firmware as lines of level and message. A frame that
//! cannot be read, or was cut off, is an error, as nothing is lost on the way.

use std::{env, fs};

use anyhow::{bail, ensure, Context, Result};
use defmt_decoder::{DecodeError, Table};

fn main() -> Result<()> {
    let mut paths = env::args_os().skip(1);
    let mut file = || -> Result<Vec<u8>> {
        let path = paths.next().context("decode FIRMWARE FRAMES")?;
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let table = Table::parse(&file()?)?.context("the firmware logs nothing")?;
    let bytes = file()?;
    // A frame ends with a zero.
    ensure!(bytes.last().is_none_or(|last| *last == 0), "the last frame was cut off");
    let mut decoder = table.new_stream_decoder();
    decoder.received(&bytes);
    loop {
        match decoder.decode() {
            Ok(frame) => {
                let level = frame.level().map_or("", |level| level.as_str());
                println!("{level} {}", frame.display_message());
            }
            Err(DecodeError::UnexpectedEof) => return Ok(()),
            Err(DecodeError::Malformed) => bail!("a frame that nobody can read"),
        }
    }
}
