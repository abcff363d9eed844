//! What goes wrong on demand.

use htp_runtime::device::{Event, ExecuteError};
use htp_runtime::handle::{Epoch, RequestId};

use super::World;
use crate::check::Check;
use crate::coverage::Fault;
use crate::device::Connect;
use crate::plan::Decision;

/// Connection attempts whose fate is decided ahead: one more than a restart has.
const FATES_MAX: usize = 6;

impl World<'_> {
    pub(super) fn go_wrong(&mut self, decision: Decision) -> Check {
        match decision {
            Decision::Fail { pick, how } => self.fail(pick, how),
            Decision::Crash => self.crash(true),
            Decision::SilentCrash => self.crash(false),
            Decision::Hang if self.device.up && !self.device.hung => {
                self.device.hung = true;
                self.fault(Fault::Hang);
                Ok(())
            }
            Decision::Lose { pick } => {
                self.lose(pick);
                Ok(())
            }
            Decision::Duplicate { pick } => self.repeat(pick),
            Decision::Forge { pick, back } => self.forge(pick, back),
            Decision::Connects { failing, ignored } => {
                let fates = (0..failing).map(|_| Connect::Fail);
                let fates = fates.chain((0..ignored).map(|_| Connect::Ignore));
                self.device.connects.extend(fates);
                self.device.connects.truncate(FATES_MAX);
                Ok(())
            }
            Decision::Refuse => {
                if !std::mem::replace(&mut self.device.refuse_next, true) {
                    self.fault(Fault::Refusal);
                }
                Ok(())
            }
            Decision::IgnoreAborts => {
                self.device.ignore_aborts = !self.device.ignore_aborts;
                if self.device.ignore_aborts {
                    self.fault(Fault::IgnoredAbort);
                }
                Ok(())
            }
            Decision::ClockJump { ms } => {
                self.now = self.now.after_us(u64::from(ms) * 1_000);
                self.fault(Fault::ClockJump);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An answer is lost on its way; not the CPU's, which is on this side of it.
    fn lose(&mut self, pick: u16) {
        let place = usize::from(pick) % self.device.outgoing.len().max(1);
        match self.device.outgoing.get(place) {
            None | Some(Event::FallbackExecuted { .. }) => {}
            Some(_) => {
                self.device.outgoing.remove(place);
                self.fault(Fault::LostAnswer);
            }
        }
    }

    /// The CPU is done, now and then without a result.
    pub(super) fn finish_on_cpu(&mut self, failing: Option<u8>) -> Check {
        let error = failing.map(error_of);
        if self.device.finish_on_cpu(error, &self.pool)? && failing.is_some() {
            self.fault(Fault::FailedExecution);
        }
        Ok(())
    }

    fn crash(&mut self, heard: bool) -> Check {
        if self.device.up {
            self.device.crash(heard);
            self.fault(if heard { Fault::Crash } else { Fault::SilentCrash });
        }
        Ok(())
    }

    fn fail(&mut self, pick: u16, how: u8) -> Check {
        if self.device.finish(self.now, pick, Some(error_of(how)), &self.pool)? {
            self.fault(Fault::FailedExecution);
        }
        Ok(())
    }

    /// An event that was heard before is heard again, unless the device was asked the same once
    /// more.
    fn repeat(&mut self, pick: u16) -> Check {
        let count = self.history.len().max(1);
        let Some(&event) = self.history.get(usize::from(pick) % count) else { return Ok(()) };
        if self.model.awaits_answer(self.now, &event) {
            return Ok(());
        }
        let late = self.model.late;
        self.happen(event)?;
        let is_late = self.model.late > late;
        self.fault(if is_late { Fault::LateAnswer } else { Fault::RepeatedAnswer });
        Ok(())
    }

    /// An event that was heard before is heard with the epoch of an earlier life, or about
    /// something that never was.
    fn forge(&mut self, pick: u16, back: u8) -> Check {
        let count = self.history.len().max(1);
        let Some(&event) = self.history.get(usize::from(pick) % count) else { return Ok(()) };
        let present = self.model.epoch();
        let old = Epoch::from_number(present.number().wrapping_sub(1 + u32::from(back)));
        let forged = match event {
            Event::Executed { request, result, .. } if back > 1 => {
                let generation = request.generation.wrapping_add(1 << 30);
                let request = RequestId { generation, ..request };
                Event::Executed { request, epoch: present, result }
            }
            Event::FallbackExecuted { request, result } => {
                let generation = request.generation.wrapping_add(1 << 30);
                let request = RequestId { generation, ..request };
                Event::FallbackExecuted { request, result }
            }
            event => with_epoch(event, old),
        };
        self.happen(forged)?;
        self.fault(Fault::ForgedAnswer);
        Ok(())
    }
}

fn error_of(how: u8) -> ExecuteError {
    match how {
        0 => ExecuteError::Aborted,
        1 => ExecuteError::NoSuchGraph,
        2 => ExecuteError::BadMemory,
        _ => ExecuteError::Internal,
    }
}

fn with_epoch(mut event: Event, to: Epoch) -> Event {
    if let Some(epoch) = epoch_mut(&mut event) {
        *epoch = to;
    }
    event
}

/// The life that an event speaks of; the CPU's speak of none.
pub(super) fn epoch_of(event: &Event) -> Option<Epoch> {
    epoch_mut(&mut { *event }).copied()
}

fn epoch_mut(event: &mut Event) -> Option<&mut Epoch> {
    match event {
        Event::Connected { epoch }
        | Event::ConnectFailed { epoch }
        | Event::ContextCreated { epoch, .. }
        | Event::ContextReleased { epoch, .. }
        | Event::GraphPrepared { epoch, .. }
        | Event::GraphReleased { epoch, .. }
        | Event::BufferMapped { epoch, .. }
        | Event::BufferUnmapped { epoch, .. }
        | Event::Executed { epoch, .. }
        | Event::Alive { epoch, .. }
        | Event::Crashed { epoch } => Some(epoch),
        Event::FallbackExecuted { .. } => None,
    }
}
