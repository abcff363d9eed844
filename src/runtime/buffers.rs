//! Shared buffers: client memory that the DSP can see.

use super::objects::{Buffer, BufferState};
use super::outbox::Control;
use super::Runtime;
use crate::capability::Capabilities;
use crate::device::PrepareError;
use crate::error::{CreateError, HandleError, Status};
use crate::handle::{BufferId, ContextId};
use crate::memory::ClientMemory;
use crate::time::Instant;

impl Runtime<'_> {
    /// Registers a buffer with a context. Usable when `buffer_status` is `Ready`. A restart makes
    /// it stale (SSR-024), or maps it anew, as its context's recovery says.
    pub fn buffer_register(
        &mut self,
        context: ContextId,
        memory: ClientMemory,
    ) -> Result<BufferId, CreateError> {
        if !self.capabilities.contains(Capabilities::SHARED_BUFFERS) {
            return Err(CreateError::NotSupported);
        }
        self.context_taking_more(context)?;
        if memory.is_empty() {
            return Err(CreateError::Config);
        }
        let epoch = self.ssr.epoch();
        // The rebuild of the context may still come to it.
        let now = !self.contexts.get(context).is_ok_and(|c| c.rebuild.takes_buffers());
        let told = now.then_some(epoch);
        let buffer = Buffer { state: BufferState::Mapping, context, told, memory };
        let id = self.buffers.insert(epoch, buffer)?;
        if now {
            self.await_answers(context, 0, 1);
            self.send(Control::BufferMap(id));
        }
        Ok(id)
    }

    /// Whether a registered buffer is usable yet; an error says why it never will be.
    pub fn buffer_status(&self, id: BufferId) -> Result<Status, CreateError> {
        let buffer = self.buffer(id)?;
        match buffer.state {
            BufferState::Failed(error) => Err(CreateError::Device(error)),
            BufferState::Ready if self.is_rebuilding(buffer.context) => Ok(Status::Pending),
            BufferState::Ready => Ok(Status::Ready),
            BufferState::Mapping | BufferState::Rebuilding | BufferState::Undoing => {
                Ok(Status::Pending)
            }
        }
    }

    /// The memory of a usable buffer.
    pub fn buffer_memory(&self, id: BufferId) -> Result<ClientMemory, HandleError> {
        Ok(self.buffer(id)?.memory)
    }

    /// Deregisters a buffer. Its handle is invalid from here on. Works on stale buffers and when
    /// the DSP is lost. Linear in the number of commands that the device has not taken.
    pub fn buffer_deregister(&mut self, id: BufferId) -> Result<(), HandleError> {
        let buffer = self.buffers.remove(id).map_err(|_| HandleError::Invalid)?;
        if buffer.told != Some(self.epoch()) || !self.is_online() {
            return Ok(());
        }
        let awaited = !matches!(buffer.state, BufferState::Ready | BufferState::Failed(_));
        if awaited {
            self.map_answered(buffer.context);
        }
        let undoing = buffer.state == BufferState::Undoing;
        // A device that was not told of it yet need not hear that it is gone.
        let untold = match undoing {
            true => self.outbox.holds(Control::BufferUnmap(id)),
            false => self.outbox.withdraw(Control::BufferMap(id)),
        };
        if untold {
            return Ok(());
        }
        if awaited {
            self.owed.buffer_goes();
        }
        if !undoing {
            self.send(Control::BufferUnmap(id));
        }
        Ok(())
    }

    pub(super) fn on_buffer_mapped(
        &mut self,
        now: Instant,
        id: BufferId,
        result: Result<(), PrepareError>,
    ) {
        let told = Some(self.epoch());
        let Ok(buffer) = self.buffers.get_mut(id) else {
            // It was deregistered in the meantime; the command to unmap it is on its way.
            return self.answered_for_gone(now);
        };
        let context = buffer.context;
        let was_ready = buffer.state == BufferState::Rebuilding;
        if buffer.told != told || !(was_ready || buffer.state == BufferState::Mapping) {
            return self.late();
        }
        match result {
            Ok(()) => buffer.state = BufferState::Ready,
            // That is the failure of its context's rebuild, not its own.
            Err(_) if was_ready => {
                buffer.told = None;
                if let Ok(context) = self.contexts.get_mut(context) {
                    context.rebuild.refused = true;
                }
            }
            Err(error) => buffer.state = BufferState::Failed(error),
        }
        self.owed.paid(&mut self.hang, now);
        self.map_answered(context);
    }

    pub(super) fn on_buffer_unmapped(&mut self, now: Instant, id: BufferId) {
        let Ok(buffer) = self.buffers.get_mut(id) else { return self.answered_for_gone(now) };
        if buffer.state != BufferState::Undoing {
            return self.late();
        }
        buffer.state = BufferState::Rebuilding;
        buffer.told = None;
        let context = buffer.context;
        self.owed.paid(&mut self.hang, now);
        self.map_answered(context);
    }

    fn answered_for_gone(&mut self, now: Instant) {
        if !self.owed.paid_for_gone_buffer(&mut self.hang, now) {
            self.late();
        }
    }

    /// One answer less is awaited for a context's buffers.
    fn map_answered(&mut self, context: ContextId) {
        if let Ok(context) = self.contexts.get_mut(context) {
            context.maps_due = context.maps_due.saturating_sub(1);
        }
        self.plan.due = true;
    }

    /// Forgets the buffers of a context that goes. Linear in the number of buffers.
    pub(super) fn drop_buffers(&mut self, context: ContextId) {
        if self.buffers.count() == 0 {
            return;
        }
        for index in 0..u16::try_from(self.buffers.capacity()).unwrap_or(u16::MAX) {
            if self.buffers.at(index).is_some_and(|buffer| buffer.context == context) {
                if let Some(id) = self.buffers.handle_at(index) {
                    let _ = self.buffer_deregister(id);
                }
            }
        }
    }

    fn buffer(&self, id: BufferId) -> Result<&Buffer, HandleError> {
        let buffer = self.buffers.get(id).map_err(|_| HandleError::Invalid)?;
        let context = self.contexts.get(buffer.context).map_err(|_| HandleError::Invalid)?;
        self.check_life(context)?;
        Ok(buffer)
    }
}
