//! Faults on demand.

/// Something that goes wrong on the virtual DSP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// The next execution that reaches operation `op` crashes the DSP in the middle of it. Replaces
    /// an earlier one.
    CrashAtOp {
        /// Index in execution order.
        op: u32,
    },
    /// The DSP crashes at the next step. Without effect while it is not connected.
    CrashNow,
    /// The present execution, or else the next one, stops for ever; from then on nothing is
    /// answered until `Connect`.
    Hang,
    /// The next `times` connection attempts fail; `u32::MAX`: all of them.
    ReconnectFails {
        /// Attempts that fail.
        times: u32,
    },
}

/// The faults that are armed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) crash_at_op: Option<u32>,
    pub(super) crash_now: bool,
    pub(super) hang: bool,
    connects_failing: u32,
}

impl Faults {
    pub(super) fn arm(&mut self, fault: Fault) {
        match fault {
            Fault::CrashAtOp { op } => self.crash_at_op = Some(op),
            Fault::CrashNow => self.crash_now = true,
            Fault::Hang => self.hang = true,
            Fault::ReconnectFails { times } => self.connects_failing = times,
        }
    }

    /// Whether this connection attempt fails; counts it.
    pub(super) fn connect_fails(&mut self) -> bool {
        let fails = self.connects_failing > 0;
        if self.connects_failing != u32::MAX {
            self.connects_failing = self.connects_failing.saturating_sub(1);
        }
        fails
    }
}
