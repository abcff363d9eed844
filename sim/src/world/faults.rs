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
                let count = self.device.outgoing.len().max(1);
                if self.device.outgoing.remove(usize::from(pick) % count).is_some() {
                    self.fault(Fault::LostAnswer);
                }
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

    fn crash(&mut self, heard: bool) -> Check {
        if self.device.up {
            self.device.crash(heard);
            self.fault(if heard { Fault::Crash } else { Fault::SilentCrash });
        }
        Ok(())
    }

    fn fail(&mut self, pick: u16, how: u8) -> Check {
        let error = match how {
            0 => ExecuteError::Aborted,
            1 => ExecuteError::NoSuchGraph,
            2 => ExecuteError::BadMemory,
            _ => ExecuteError::Internal,
        };
        if self.device.finish(self.now, pick, Some(error), &self.pool)? {
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
            event => with_epoch(event, old),
        };
        self.happen(forged)?;
        self.fault(Fault::ForgedAnswer);
        Ok(())
    }
}

fn with_epoch(mut event: Event, to: Epoch) -> Event {
    *epoch_mut(&mut event) = to;
    event
}

/// The life that an event speaks of.
pub(super) fn epoch_of(event: &Event) -> Epoch {
    *epoch_mut(&mut { *event })
}

fn epoch_mut(event: &mut Event) -> &mut Epoch {
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
        | Event::Crashed { epoch } => epoch,
        Event::FallbackExecuted { .. } => {
            unreachable!("no context of the simulation has a fallback")
        }
    }
}
