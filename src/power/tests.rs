//! What several configurations together ask for.

use std::vec::Vec;

use super::{
    Corner, Corners, Dcvs, HmxChoice, HmxCorner, HmxVote, Power, PowerChange, PowerMode,
    PowerSettings,
};
use crate::handle::{Epoch, PowerConfigId};
use crate::region::Region;

const EPOCH: Epoch = Epoch::FIRST;

/// Two configurations.
fn pair() -> (Power<'static>, [PowerConfigId; 2]) {
    let mut power = Power::new(&mut Region::from_heap(1 << 14), 2).unwrap();
    let ids = [(), ()].map(|()| power.create().unwrap());
    assert!(power.create().is_err());
    (power, ids)
}

// REQ: PERF-011
#[test]
fn a_mode_counts_while_dcvs_takes_part_and_the_most_demanding_wins() {
    // The numbers of the QNN API, the least demanding first.
    let modes = [
        (8, PowerMode::PowerSaverAggressive),
        (4, PowerMode::PowerSaver),
        (32, PowerMode::DutyCycle),
        (1, PowerMode::AdjustUpDown),
        (2, PowerMode::AdjustOnlyUp),
        (16, PowerMode::Performance),
    ];
    for number in 0..=64 {
        let known = modes.iter().find(|(known, _)| *known == number).map(|(_, mode)| *mode);
        assert_eq!(PowerMode::from_number(number), known, "{number}");
    }
    let votes = modes.iter().map(|(_, mode)| Dcvs::On(*mode)).chain([Dcvs::Off]);
    let votes: Vec<_> = votes.collect();
    let (mut power, [first, second]) = pair();
    let mut set = |id, dcvs| {
        let change = PowerChange { dcvs: Some(dcvs), ..PowerChange::default() };
        power.set(id, EPOCH, &change).unwrap();
        power.in_effect(EPOCH).dcvs
    };
    for (low, less) in votes.iter().enumerate() {
        for more in votes.iter().skip(low) {
            for (one, other) in [(*less, *more), (*more, *less)] {
                set(first, one);
                assert_eq!(set(second, other), Some(*more));
            }
        }
    }
    // Off has no mode: one of an earlier call does not come back.
    for id in [first, second] {
        set(id, Dcvs::On(PowerMode::Performance));
        set(id, Dcvs::Off);
    }
    let saver = Dcvs::On(PowerMode::PowerSaver);
    assert_eq!(set(first, saver), Some(Dcvs::Off));
    assert_eq!(set(second, saver), Some(saver));
}

fn hmx(corners: [u32; 3], clock: u8) -> HmxVote {
    let [min, target, max] = corners.map(|number| HmxCorner::from_number(number).unwrap());
    HmxVote { corners: Corners::new(min, target, max).unwrap(), clock }
}

#[test]
fn of_two_matrix_votes_each_corner_is_the_greater_and_the_clock_that_of_the_higher_target() {
    let wide = hmx([256, 512, 65_535], 1);
    let core = Some(Corners::all(Corner::NOM));
    for (other, both) in [
        (hmx([384, 511, 640], 7), hmx([384, 512, 65_535], 1)),
        (hmx([384, 513, 640], 7), hmx([384, 513, 65_535], 7)),
        (hmx([256, 736, 736], 255), hmx([256, 736, 65_535], 255)),
        (wide, wide),
    ] {
        for votes in [[wide, other], [other, wide]] {
            let (mut power, ids) = pair();
            for (id, vote) in ids.into_iter().zip(votes) {
                let hmx = Some(HmxChoice::Vote(vote));
                let change = PowerChange { core, hmx, ..PowerChange::default() };
                assert!(power.set(id, EPOCH, &change).is_ok());
            }
            let expected = PowerSettings { core, hmx: Some(both), ..PowerSettings::NONE };
            assert_eq!(*power.in_effect(EPOCH), expected);
            assert_eq!(*power.in_effect(EPOCH.next()), PowerSettings::NONE);
            let [first, second] = ids;
            power.destroy(first, EPOCH).unwrap();
            assert_eq!(power.in_effect(EPOCH).hmx, Some(votes[1]));
            assert_eq!(power.destroy(second, EPOCH), Ok(true));
        }
    }
    let corners = wide.corners;
    let numbers = [corners.min(), corners.target(), corners.max()].map(HmxCorner::number);
    assert_eq!(numbers, [256, 512, 65_535]);
}
