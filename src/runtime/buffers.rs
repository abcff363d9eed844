//! Shared buffers: client memory that the DSP can see.

use super::objects::Buffer;
use super::outbox::Control;
use super::Runtime;
use crate::capability::Capabilities;
use crate::device::PrepareError;
use crate::error::{CreateError, HandleError, Status};
use crate::handle::{BufferId, ContextId};
use crate::memory::ClientMemory;

impl Runtime<'_> {
    /// Registers a buffer with a context. Usable when `buffer_status` is `Ready`. A restart makes
    /// it stale (SSR-024).
    pub fn buffer_register(
        &mut self,
        context: ContextId,
        memory: ClientMemory,
    ) -> Result<BufferId, CreateError> {
        if !self.capabilities.contains(Capabilities::SHARED_BUFFERS) {
            return Err(CreateError::NotSupported);
        }
        self.context(context)?;
        if memory.is_empty() {
            return Err(CreateError::Config);
        }
        let epoch = self.ssr.epoch();
        let buffer = Buffer { context, epoch, memory, ready: false, failed: None };
        let id = self.buffers.insert(epoch, buffer)?;
        self.send(Control::BufferMap(id));
        Ok(id)
    }

    /// Whether a registered buffer is usable yet; an error says why it never will be.
    pub fn buffer_status(&self, id: BufferId) -> Result<Status, CreateError> {
        let buffer = self.buffer(id)?;
        match (buffer.failed, buffer.ready) {
            (Some(error), _) => Err(CreateError::Device(error)),
            (None, true) => Ok(Status::Ready),
            (None, false) => Ok(Status::Pending),
        }
    }

    /// The memory of a usable buffer.
    pub fn buffer_memory(&self, id: BufferId) -> Result<ClientMemory, HandleError> {
        Ok(self.buffer(id)?.memory)
    }

    /// Deregisters a buffer. Its handle is invalid from here on. Works on stale buffers and when
    /// the DSP is lost.
    pub fn buffer_deregister(&mut self, id: BufferId) -> Result<(), HandleError> {
        let buffer = self.buffers.remove(id).map_err(|_| HandleError::Invalid)?;
        if buffer.epoch == self.epoch() && self.is_online() {
            self.send(Control::BufferUnmap(id));
        }
        Ok(())
    }

    pub(super) fn on_buffer_mapped(&mut self, id: BufferId, result: Result<(), PrepareError>) {
        match self.buffers.get_mut(id) {
            Ok(buffer) if !buffer.is_pending() => self.late(),
            Ok(buffer) => {
                buffer.ready = result.is_ok();
                buffer.failed = result.err();
            }
            // It was deregistered in the meantime; the command to unmap it is on its way.
            Err(_) => {}
        }
    }

    /// Forgets the buffers of a context that goes. Linear in the number of buffers.
    pub(super) fn drop_buffers(&mut self, context: ContextId) {
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
        self.check_epoch(buffer.epoch)?;
        Ok(buffer)
    }
}
