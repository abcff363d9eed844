//! The digit network through the whole core: context binary, runtime, virtual HTP; byte for byte
//! against two independent references (plain Rust in `reference/`, Python in
//! `data/digits/logits.bin`).

#[path = "support/digits_world.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod digits;
#[allow(dead_code, reason = "shared with the test of the reference itself")]
mod reference;

use htp_runtime::capability::Capabilities;
use htp_runtime::event::{Notice, Outcome};
use htp_runtime::limits::QUEUE_DEPTH_MAX;
use htp_runtime::power::PowerChange;

use digits::{Digits, IMAGE_BYTES};
use reference::{digits_file, Network};

// REQ: ASYNC-007
#[test]
fn every_image_gives_the_bytes_of_both_references() {
    let images = digits_file("images.bin");
    let expected = digits_file("logits.bin");
    let mut world = Digits::new(u32::from(QUEUE_DEPTH_MAX));
    for (first, batch) in images.chunks(IMAGE_BYTES * usize::from(QUEUE_DEPTH_MAX)).enumerate() {
        let first = first * usize::from(QUEUE_DEPTH_MAX);
        let results = world.run(batch);
        for (offset, logits) in results.iter().enumerate() {
            let image = first + offset;
            assert_eq!(logits, &expected[image * 10..(image + 1) * 10], "image {image}");
        }
    }
    assert_eq!(world.completed, images.len() / IMAGE_BYTES);
}

// REQ: ASYNC-030
#[test]
fn polling_of_remote_calls_is_accepted_and_means_nothing_to_asynchronous_requests() {
    let images = digits_file("images.bin");
    let [plain, polling] = [None, Some(9_999)].map(|rpc_polling_us| {
        let mut world = Digits::allowing(Capabilities::RPC_SETTINGS, 20);
        let id = world.runtime.power_config_create().unwrap();
        let change = PowerChange { rpc_polling_us, ..PowerChange::default() };
        world.runtime.power_config_set(id, &change).unwrap();
        world.drain();
        let voted = world.device.power().rpc_polling_us;
        world.submit(&images[..20 * IMAGE_BYTES]);
        (voted, world.drain(), world.logits())
    });
    assert_eq!((plain.0, polling.0), (0, 9_999), "the device knows it");
    // Outcomes, times, cycles and results.
    assert_eq!(plain.1.len(), 20);
    assert_eq!((plain.1, plain.2), (polling.1, polling.2));
}

#[test]
fn the_plain_rust_reference_agrees_too() {
    let images = digits_file("images.bin");
    let network = Network::digits();
    let mut world = Digits::new(50);
    let batch = &images[..50 * IMAGE_BYTES];
    let results = world.run(batch);
    for (image, logits) in batch.chunks(IMAGE_BYTES).zip(results) {
        assert_eq!(network.logits(image), logits);
    }
}

// REQ: SSR-011, SSR-017, SSR-019, SSR-023, ASYNC-024
#[test]
fn after_a_crash_in_the_middle_the_same_images_give_the_same_bytes() {
    let images = digits_file("images.bin");
    let expected = digits_file("logits.bin");
    let mut world = Digits::new(20);
    let batch = &images[..20 * IMAGE_BYTES];
    world.device.inject(htp_runtime::vhtp::Fault::CrashAtOp { op: 5 });
    world.submit(batch);
    let notices = world.drain();
    let outcomes: Vec<_> = notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Completion(completion) => Some(completion.outcome),
            Notice::Restart(_) => None,
        })
        .collect();
    assert_eq!(outcomes.len(), 20);
    assert!(outcomes.contains(&Outcome::DeviceReset));
    world.recreate(20);
    let results = world.run(batch);
    assert_eq!(results.concat(), expected[..200]);
}
