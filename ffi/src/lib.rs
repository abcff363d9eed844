//! The C faces of htp-runtime.
#![no_std]

pub mod abi;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
