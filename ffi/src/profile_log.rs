//! The file that profiling data is written to: lines of JSON, as docs/formats.md describes them.

use core::ffi::CStr;

use heapless::Vec;
use libc::c_int;
use runtime::profile::Decimal;

/// Longest path, with its end.
const PATH_BYTES: usize = 4096;
/// Bytes that go to the file at once.
const BLOCK_BYTES: usize = 512;

/// An open file. Closed by [`File::close`] only, so that it can be copied out of a table.
#[derive(Clone, Copy)]
pub(crate) struct File {
    fd: c_int,
}

/// The operating system refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

impl File {
    /// Opens a file of a folder (or of the current one) for more lines at its end; made if it is
    /// not there. Does not wait for a reader where the file is a pipe.
    pub(crate) fn open(folder: Option<&str>, name: &str) -> Result<Self, Refused> {
        let mut path = Vec::<u8, PATH_BYTES>::new();
        if let Some(folder) = folder {
            path.extend_from_slice(folder.as_bytes()).map_err(|_| Refused)?;
            path.push(b'/').map_err(|_| Refused)?;
        }
        path.extend_from_slice(name.as_bytes()).map_err(|_| Refused)?;
        path.push(0).map_err(|_| Refused)?;
        let path = CStr::from_bytes_with_nul(&path).map_err(|_| Refused)?;
        let how = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
        let mode: libc::c_uint = 0o644;
        // SAFETY: the path ends.
        let fd = unsafe { libc::open(path.as_ptr(), how | libc::O_NONBLOCK, mode) };
        if fd < 0 {
            return Err(Refused);
        }
        Ok(Self { fd })
    }

    /// Closes it. Nobody may use a copy any more.
    pub(crate) fn close(self) {
        // SAFETY: it is open; the caller keeps no other copy.
        unsafe { libc::close(self.fd) };
    }

    /// Begins to write lines.
    pub(crate) fn lines(self) -> Lines {
        Lines { file: self, block: Vec::new(), refused: false }
    }

    fn write(self, mut bytes: &[u8]) -> Result<(), Refused> {
        while !bytes.is_empty() {
            // SAFETY: so many bytes are readable.
            let taken = unsafe { libc::write(self.fd, bytes.as_ptr().cast(), bytes.len()) };
            let taken = usize::try_from(taken).map_err(|_| Refused)?;
            if taken == 0 {
                return Err(Refused);
            }
            bytes = bytes.get(taken..).unwrap_or(&[]);
        }
        Ok(())
    }
}

/// Lines under way. They are in the file once [`Lines::end`] says so.
pub(crate) struct Lines {
    file: File,
    block: Vec<u8, BLOCK_BYTES>,
    refused: bool,
}

impl Lines {
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
