//! The file that profiling data is written to: lines of JSON, as docs/formats.md describes them.

use core::ffi::CStr;

use heapless::Vec;
use runtime::platform::os::output::File;
use runtime::platform::Refused;
use runtime::profile::Decimal;

/// Longest path, with its end.
const PATH_BYTES: usize = 4096;
/// Bytes that go to the file at once.
const BLOCK_BYTES: usize = 512;

/// Opens a file of a folder (or of the current one) for more lines at its end; made if it is not
/// there.
pub(crate) fn open(folder: Option<&str>, name: &str) -> Result<File, Refused> {
    let mut path = Vec::<u8, PATH_BYTES>::new();
    if let Some(folder) = folder {
        path.extend_from_slice(folder.as_bytes()).map_err(|_| Refused)?;
        path.push(b'/').map_err(|_| Refused)?;
    }
    path.extend_from_slice(name.as_bytes()).map_err(|_| Refused)?;
    path.push(0).map_err(|_| Refused)?;
    File::append(CStr::from_bytes_with_nul(&path).map_err(|_| Refused)?)
}

/// Lines under way. They are in the file once [`Lines::end`] says so.
pub(crate) struct Lines {
    file: File,
    block: Vec<u8, BLOCK_BYTES>,
    refused: bool,
}

impl Lines {
    /// Begins to write lines to a file.
    pub(crate) fn to(file: File) -> Self {
        Self { file, block: Vec::new(), refused: false }
    }

    /// Begins a line, an object of one level.
    pub(crate) fn line(&mut self) -> Line<'_> {
        self.put(b"{");
        Line { lines: self, first: true }
    }

    /// Writes what is left.
    pub(crate) fn end(mut self) -> Result<(), Refused> {
        self.flush();
        if self.refused {
            Err(Refused)
        } else {
            Ok(())
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.block.push(byte).is_err() {
                self.flush();
                // There is room now.
                let _ = self.block.push(byte);
            }
        }
    }

    fn flush(&mut self) {
        self.refused |= self.file.write(&self.block).is_err();
        self.block.clear();
    }
}

/// One line under way.
pub(crate) struct Line<'l> {
    lines: &'l mut Lines,
    first: bool,
}

impl Line<'_> {
    pub(crate) fn number(mut self, key: &str, value: u64) -> Self {
        self.key(key);
        self.lines.put(Decimal::of(value).digits());
        self
    }

    pub(crate) fn signed(mut self, key: &str, value: i64) -> Self {
        self.key(key);
        self.lines.put(if value < 0 { b"-" } else { b"" });
        self.lines.put(Decimal::of(value.unsigned_abs()).digits());
        self
    }

    /// A text. Control characters in it become spaces.
    pub(crate) fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        self.lines.put(b"\"");
        for byte in value.bytes() {
            match byte {
                b'"' => self.lines.put(b"\\\""),
                b'\\' => self.lines.put(b"\\\\"),
                0..b' ' => self.lines.put(b" "),
                byte => self.lines.put(&[byte]),
            }
        }
        self.lines.put(b"\"");
        self
    }

    pub(crate) fn end(self) {
        self.lines.put(b"}\n");
    }

    fn key(&mut self, key: &str) {
        self.lines.put(if self.first { b"\"" } else { b",\"" });
        self.lines.put(key.as_bytes());
        self.lines.put(b"\":");
        self.first = false;
    }
}
