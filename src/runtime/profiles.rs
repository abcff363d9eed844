//! Profile objects. They live on the host and survive restarts (SSR-016).

use super::Runtime;
use crate::error::HandleError;
use crate::handle::{Epoch, ProfileId};
use crate::profile::{Profile, ProfileCall, ProfileEvent, ProfileLevel};
use crate::slots::CapacityExceeded;

impl Runtime<'_> {
    /// Creates a profile object.
    pub fn profile_create(&mut self, level: ProfileLevel) -> Result<ProfileId, CapacityExceeded> {
        self.profiles.insert(Epoch::FIRST, Profile::new(level))
    }

    /// A profile object, to look at.
    pub fn profile(&self, id: ProfileId) -> Result<&Profile, HandleError> {
        self.profiles.get(id).map_err(|_| HandleError::Invalid)
    }

    /// A call other than an execution, which used the object, has ended.
    pub fn profile_record(&mut self, id: ProfileId, call: ProfileCall) -> Result<(), HandleError> {
        self.profiles.get_mut(id).map_err(|_| HandleError::Invalid)?.record(call);
        Ok(())
    }

    /// The measurements of the call that used the object last.
    pub fn profile_events(&self, id: ProfileId) -> Result<&[ProfileEvent], HandleError> {
        Ok(self.profiles.get(id).map_err(|_| HandleError::Invalid)?.events())
    }

    /// Frees a profile object. A request in flight that was to fill it does so no more.
    pub fn profile_free(&mut self, id: ProfileId) -> Result<(), HandleError> {
        self.profiles.remove(id).map(|_| ()).map_err(|_| HandleError::Invalid)
    }
}
