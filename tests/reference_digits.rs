//! The Rust reference and the integer network of the training script agree, and know their digits.

mod reference;

use reference::{digits_file, Network};

const IMAGE_BYTES: usize = 64;
const CLASSES: usize = 10;

/// Index of the largest logit, the first of equals.
fn digit(logits: &[u8]) -> u8 {
    let largest = logits.iter().max().expect("ten logits");
    logits.iter().position(|logit| logit == largest).expect("the largest is one of them") as u8
}

#[test]
fn reference_computes_the_recorded_logits_of_every_image() {
    let network = Network::digits();
    let (images, expected) = (digits_file("images.bin"), digits_file("logits.bin"));
    assert_eq!(images.len(), 1797 * IMAGE_BYTES);
    assert_eq!(expected.len(), 1797 * CLASSES);
    let pairs = images.chunks(IMAGE_BYTES).zip(expected.chunks(CLASSES));
    for (index, (image, logits)) in pairs.enumerate() {
        assert_eq!(network.logits(image), logits, "image {index}");
    }
}

#[test]
fn held_out_images_are_recognized() {
    let network = Network::digits();
    let (images, labels) = (digits_file("images.bin"), digits_file("labels.bin"));
    let held_out: Vec<usize> = digits_file("heldout.bin")
        .chunks(2)
        .map(|pair| usize::from(u16::from_le_bytes([pair[0], pair[1]])))
        .collect();
    assert_eq!(held_out.len(), 360);
    assert!(held_out.windows(2).all(|pair| pair[0] < pair[1]), "ascending, no image twice");
    let right = held_out
        .iter()
        .filter(|&&i| {
            digit(&network.logits(&images[i * IMAGE_BYTES..][..IMAGE_BYTES])) == labels[i]
        })
        .count();
    assert!(right * 100 >= held_out.len() * 95, "{right} of {} right", held_out.len());
}

#[test]
fn probabilities_sum_to_one_and_rank_as_the_logits() {
    let network = Network::digits();
    for image in digits_file("images.bin").chunks(IMAGE_BYTES).step_by(17) {
        let values = network.run(image);
        let (logits, probabilities) = (&values["logits"], &values["probabilities"]);
        // Each of ten bytes is rounded by at most half a step, and 256 is clamped to 255.
        assert!((250..=261).contains(&probabilities.iter().sum::<i64>()), "{probabilities:?}");
        for (a, pa) in logits.iter().zip(probabilities) {
            for (b, pb) in logits.iter().zip(probabilities) {
                assert!(a < b || pa >= pb, "{logits:?} {probabilities:?}");
            }
        }
    }
}
