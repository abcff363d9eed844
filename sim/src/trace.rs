//! What a run did: always as a hash, on demand as text.

use htp_runtime::handle::{Handle, RequestId};
use htp_runtime::time::Instant;

/// The record of one run. Every word in it is the same on every machine: no address, no float, no
/// width of a pointer.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    text: Option<String>,
}

impl Trace {
    /// Only the hash.
    pub fn silent() -> Self {
        Self::default()
    }

    /// The hash and the text.
    pub fn told() -> Self {
        Self { hash: 0, text: Some(String::new()) }
    }

    /// Notes a step by its words; `text` is asked for only if somebody reads it.
    pub fn note(&mut self, words: &[u64], text: impl FnOnce() -> String) {
        for word in words {
            self.hash = (self.hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            self.hash ^= self.hash >> 29;
        }
        if let Some(lines) = &mut self.text {
            lines.push_str(&text());
            lines.push('\n');
        }
    }

    /// The hash of everything noted so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The text, if it was kept.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or("")
    }
}

/// A handle as one word.
pub fn word<K>(handle: Handle<K>) -> u64 {
    u64::from(handle.index())
        | u64::from(handle.generation()) << 16
        | u64::from(handle.epoch().number()) << 32
}

/// A request as one word.
pub fn request_word(id: RequestId) -> u64 {
    u64::from(id.generation) | u64::from(id.slot) << 32 | u64::from(id.context) << 48
}

/// A request as people read it: number, context, slot.
pub fn shown(id: RequestId) -> String {
    format!("#{} in {}.{}", id.generation, id.context, id.slot)
}

/// A point in time as people read it.
pub fn time(at: Instant) -> String {
    format!("{} us", at.as_us())
}
