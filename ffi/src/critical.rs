//! The critical section, which the integrator brings where there is no operating system.
//! `include/htp_runtime.h` documents the two functions.

use critical_section::{set_impl, Impl, RawRestoreState};

extern "C" {
    fn htp_rt_critical_enter() -> u32;
    fn htp_rt_critical_exit(state: u32);
}

struct Integrator;
set_impl!(Integrator);

// SAFETY: the integrator promises that the two keep everybody else out of the library.
unsafe impl Impl for Integrator {
    unsafe fn acquire() -> RawRestoreState {
        // SAFETY: as above.
        unsafe { htp_rt_critical_enter() }
    }

    unsafe fn release(state: RawRestoreState) {
        // SAFETY: as above; the state is that of the matching `acquire`.
        unsafe { htp_rt_critical_exit(state) }
    }
}
