//! Power and memory configurations: what is in effect, what a restart drops, what stays valid, and
//! what is refused without changing anything.

use htp_runtime::capability::{Capabilities, PlatformKind};
use htp_runtime::error::HandleError;
use htp_runtime::event::Notice;
use htp_runtime::handle::PowerConfigId;
use htp_runtime::power::{
    Corner, Corners, Dcvs, HmxChoice, HmxCorner, HmxVote, MemoryConfig, PowerChange, PowerError,
    PowerMode, PowerSettings,
};
use htp_runtime::runtime::Runtime;
use htp_runtime::vhtp::{Fault, JournalKind, VhtpConfig};

use crate::digits::{Digits, IMAGE_BYTES};
use crate::support::{all_capabilities, Connect, Seen, World, CAPACITIES};

/// A vote for one core corner.
fn core(corner: Corner) -> PowerChange {
    PowerChange { core: Some(Corners::all(corner)), ..PowerChange::default() }
}

/// What such a vote comes to.
fn core_settings(corner: Corner) -> PowerSettings {
    PowerSettings { core: Some(Corners::all(corner)), ..PowerSettings::NONE }
}

fn hmx(min: u32, target: u32, max: u32, clock: u8) -> HmxVote {
    let [min, target, max] = [min, target, max].map(|n| HmxCorner::from_number(n).unwrap());
    HmxVote { corners: Corners::new(min, target, max).unwrap(), clock }
}

fn config(runtime: &mut Runtime<'_>) -> PowerConfigId {
    runtime.power_config_create().unwrap()
}

/// A world in which everything can be voted for, and a configuration.
fn world() -> (World, PowerConfigId) {
    let everything = all_capabilities() | Capabilities::RPC_SETTINGS | Capabilities::HMX_VOTE;
    let mut world = World::with(everything, CAPACITIES);
    let id = config(&mut world.runtime);
    (world, id)
}

fn set(world: &mut World, id: PowerConfigId, change: &PowerChange) -> Result<(), PowerError> {
    let answer = world.runtime.power_config_set(id, change);
    world.settle();
    answer
}

/// The votes that the device was told of since the last call.
fn take_votes(world: &mut World) -> Vec<PowerSettings> {
    let votes = world.device.journal.drain(..).filter_map(|seen| match seen {
        Seen::PowerVote(settings) => Some(settings),
        _ => None,
    });
    votes.collect()
}

// REQ: PERF-004, PERF-014, PERF-017
#[test]
fn one_call_places_everything_it_lists() {
    let (mut world, id) = world();
    assert_eq!(*world.runtime.power_in_effect(), PowerSettings::NONE);
    let change = PowerChange {
        dcvs: Some(Dcvs::Off),
        sleep_latency_us: Some(40),
        sleep_disabled: Some(true),
        bus: Some(Corners::all(Corner::MAX)),
        core: Some(Corners::all(Corner::MAX)),
        hmx: Some(HmxChoice::Vote(hmx(384, 640, 65_535, 0))),
        hmx_timeout_us: Some(300_000),
        rpc_latency_us: Some(100),
        rpc_polling_us: Some(9_999),
        adaptive_polling_us: Some(1_000),
    };
    let expected = PowerSettings {
        dcvs: Some(Dcvs::Off),
        sleep_latency_us: Some(40),
        sleep_disabled: true,
        bus: Some(Corners::all(Corner::MAX)),
        core: Some(Corners::all(Corner::MAX)),
        hmx: Some(hmx(384, 640, 65_535, 0)),
        hmx_timeout_us: Some(300_000),
        rpc_latency_us: Some(100),
        rpc_polling_us: 9_999,
        adaptive_polling_us: 1_000,
    };
    assert_eq!(set(&mut world, id, &change), Ok(()));
    assert_eq!(*world.runtime.power_in_effect(), expected);
    assert_eq!(take_votes(&mut world), [expected]);
    // The same again changes nothing, and the device is not told again.
    assert_eq!(set(&mut world, id, &change), Ok(()));
    assert_eq!(take_votes(&mut world), []);
}

// REQ: PERF-005, PERF-006, PERF-007, PERF-008, PERF-010
#[test]
fn what_a_call_does_not_mention_stays() {
    let (mut world, id) = world();
    let first = PowerChange {
        dcvs: Some(Dcvs::On(PowerMode::Performance)),
        sleep_latency_us: Some(100),
        sleep_disabled: Some(true),
        bus: Some(Corners::all(Corner::NOM)),
        ..core(Corner::TURBO)
    };
    assert_eq!(set(&mut world, id, &first), Ok(()));
    let placed = *world.runtime.power_in_effect();
    assert_eq!(set(&mut world, id, &PowerChange::default()), Ok(()));
    assert_eq!(*world.runtime.power_in_effect(), placed);
    for (change, expected) in [
        (core(Corner::SVS), PowerSettings { core: Some(Corners::all(Corner::SVS)), ..placed }),
        (
            PowerChange { bus: Some(Corners::all(Corner::SVS)), ..PowerChange::default() },
            PowerSettings { bus: Some(Corners::all(Corner::SVS)), ..placed },
        ),
        (
            PowerChange { dcvs: Some(Dcvs::Off), ..PowerChange::default() },
            PowerSettings { dcvs: Some(Dcvs::Off), ..placed },
        ),
        (
            PowerChange { sleep_latency_us: Some(40), ..PowerChange::default() },
            PowerSettings { sleep_latency_us: Some(40), ..placed },
        ),
        (
            PowerChange { sleep_disabled: Some(false), ..PowerChange::default() },
            PowerSettings { sleep_disabled: false, ..placed },
        ),
    ] {
        assert_eq!(set(&mut world, id, &change), Ok(()));
        assert_eq!(*world.runtime.power_in_effect(), expected);
        assert_eq!(set(&mut world, id, &first), Ok(()));
        assert_eq!(*world.runtime.power_in_effect(), placed);
    }
}

#[test]
fn in_effect_is_the_most_demanding_of_all_configurations() {
    let (mut world, low) = world();
    let high = config(&mut world.runtime);
    let corners = |min, target, max| Corners::new(min, target, max).unwrap();
    let modest = PowerChange {
        dcvs: Some(Dcvs::On(PowerMode::Performance)),
        sleep_latency_us: Some(1_000),
        core: Some(corners(Corner::SVS2, Corner::NOM, Corner::NOM_PLUS)),
        bus: Some(Corners::all(Corner::SVS)),
        rpc_latency_us: Some(100),
        ..PowerChange::default()
    };
    let eager = PowerChange {
        dcvs: Some(Dcvs::On(PowerMode::PowerSaver)),
        sleep_latency_us: Some(40),
        core: Some(corners(Corner::MIN, Corner::TURBO, Corner::TURBO)),
        rpc_latency_us: Some(300),
        rpc_polling_us: Some(10),
        ..PowerChange::default()
    };
    assert_eq!(set(&mut world, low, &modest), Ok(()));
    assert_eq!(set(&mut world, high, &eager), Ok(()));
    let both = *world.runtime.power_in_effect();
    let expected = PowerSettings {
        dcvs: Some(Dcvs::On(PowerMode::Performance)),
        sleep_latency_us: Some(40),
        core: Some(corners(Corner::SVS2, Corner::TURBO, Corner::TURBO)),
        bus: Some(Corners::all(Corner::SVS)),
        rpc_latency_us: Some(100),
        rpc_polling_us: 10,
        ..PowerSettings::NONE
    };
    assert_eq!(both, expected);
    assert_eq!(take_votes(&mut world).last(), Some(&expected));
    // Without the eager one the modest one is left.
    assert_eq!(world.runtime.power_config_destroy(high), Ok(()));
    world.settle();
    let left = take_votes(&mut world);
    assert_eq!(left, [*world.runtime.power_in_effect()]);
    assert_eq!(left[0].core, modest.core);
    assert_eq!(left[0].rpc_polling_us, 0);
}

// REQ: SSR-025
#[test]
fn a_restart_drops_all_votes_and_the_same_ids_place_them_again() {
    let (mut world, first) = world();
    let second = config(&mut world.runtime);
    assert_eq!(set(&mut world, first, &core(Corner::NOM)), Ok(()));
    assert_eq!(set(&mut world, second, &core(Corner::MAX)), Ok(()));
    assert_eq!(*world.runtime.power_in_effect(), core_settings(Corner::MAX));
    take_votes(&mut world);

    world.crash();
    assert_eq!(*world.runtime.power_in_effect(), PowerSettings::NONE);
    assert_eq!(take_votes(&mut world), []);

    // Only what is placed again counts, also beside a vote from before.
    assert_eq!(set(&mut world, first, &core(Corner::NOM)), Ok(()));
    assert_eq!(*world.runtime.power_in_effect(), core_settings(Corner::NOM));
    // A setting that the second call does not mention is not there any more.
    let sleep = PowerChange { sleep_latency_us: Some(40), ..PowerChange::default() };
    assert_eq!(set(&mut world, second, &sleep), Ok(()));
    let expected = PowerSettings { sleep_latency_us: Some(40), ..core_settings(Corner::NOM) };
    assert_eq!(take_votes(&mut world), [core_settings(Corner::NOM), expected]);
    assert_eq!(set(&mut world, second, &core(Corner::MAX)), Ok(()));
    assert_eq!(take_votes(&mut world)[0].core, Some(Corners::all(Corner::MAX)));
    assert_eq!(world.runtime.counters().faults, 0);
}

// REQ: SSR-025
#[test]
fn a_vote_that_the_crash_overtook_is_not_handed_over_later() {
    let (mut world, id) = world();
    assert_eq!(world.runtime.power_config_set(id, &core(Corner::MAX)), Ok(()));
    let memory = MemoryConfig { grow_bytes: 4096 };
    assert_eq!(world.runtime.memory_config_set(memory), Ok(()));
    // Both wait for the device when the news of the crash arrives.
    world.device.crash();
    assert!(world.deliver());
    world.settle();
    assert_eq!(world.device.journal, [Seen::Connect(1)]);
    // The first ones of the new life are not taken for those.
    assert_eq!(set(&mut world, id, &core(Corner::NOM)), Ok(()));
    assert_eq!(world.runtime.memory_config_set(memory), Ok(()));
    world.settle();
    let told = [Seen::PowerVote(core_settings(Corner::NOM)), Seen::MemorySet(memory)];
    assert_eq!(world.device.journal[1..], told);
}

#[test]
fn votes_wait_for_the_device_as_one() {
    let (mut world, id) = world();
    for corner in [Corner::SVS, Corner::NOM, Corner::TURBO] {
        assert_eq!(world.runtime.power_config_set(id, &core(corner)), Ok(()));
    }
    assert_eq!(world.drain_commands(), 1);
    assert_eq!(take_votes(&mut world), [core_settings(Corner::TURBO)]);
    assert_eq!(world.runtime.counters().faults, 0);
}

// REQ: SSR-025
#[test]
fn during_a_restart_and_after_the_loss_ids_can_only_be_made_and_destroyed() {
    let (mut world, id) = world();
    assert_eq!(set(&mut world, id, &core(Corner::MAX)), Ok(()));
    world.device.connects.extend([Connect::Ignore; 5]);
    world.crash();
    for error in [HandleError::Recovering, HandleError::Lost] {
        let runtime = &mut world.runtime;
        let answer = runtime.power_config_set(id, &core(Corner::NOM));
        assert_eq!(answer, Err(PowerError::Handle(error)));
        assert_eq!(runtime.memory_config_set(MemoryConfig { grow_bytes: 1 }), Err(error));
        assert_eq!(*runtime.power_in_effect(), PowerSettings::NONE);
        assert_eq!(runtime.memory_config(), MemoryConfig::default());
        let another = config(runtime);
        assert_eq!(runtime.power_config_destroy(another), Ok(()));
        world.advance(10_000_000);
    }
    assert_eq!(world.runtime.power_config_destroy(id), Ok(()));
    assert_eq!(world.runtime.counters().faults, 0);
}

// REQ: SSR-025, PERF-016, PERF-034
#[test]
fn destroying_removes_the_votes_once_also_after_a_restart() {
    let (mut world, id) = world();
    let stale = config(&mut world.runtime);
    assert_eq!(set(&mut world, stale, &core(Corner::MAX)), Ok(()));
    world.crash();
    assert_eq!(set(&mut world, id, &core(Corner::NOM)), Ok(()));
    take_votes(&mut world);
    assert_eq!(world.runtime.power_config_destroy(stale), Ok(()));
    assert_eq!(world.runtime.power_config_destroy(stale), Err(HandleError::Invalid));
    world.settle();
    assert_eq!(take_votes(&mut world), []);
    assert_eq!(*world.runtime.power_in_effect(), core_settings(Corner::NOM));
    assert_eq!(world.runtime.power_config_destroy(id), Ok(()));
    world.settle();
    assert_eq!(take_votes(&mut world), [PowerSettings::NONE]);
    let answer = set(&mut world, id, &core(Corner::NOM));
    assert_eq!(answer, Err(PowerError::Handle(HandleError::Invalid)));
}

// REQ: PERF-012, PERF-013
#[test]
fn ids_are_distinct_and_limited_by_the_capacity() {
    let (mut world, id) = world();
    let mut seen = std::collections::HashSet::from([id]);
    for _ in 0..1_000 {
        let id = config(&mut world.runtime);
        assert!(seen.insert(id));
        assert_eq!(world.runtime.power_config_destroy(id), Ok(()));
    }
    for _ in 1..CAPACITIES.power_configs {
        config(&mut world.runtime);
    }
    assert!(world.runtime.power_config_create().is_err());
    assert_eq!(world.runtime.power_config_destroy(id), Ok(()));
    assert!(world.runtime.power_config_create().is_ok());
}

// REQ: PERF-009, PERF-019
#[test]
fn values_out_of_range_are_refused_and_change_nothing() {
    let (mut world, id) = world();
    assert_eq!(set(&mut world, id, &core(Corner::NOM)), Ok(()));
    take_votes(&mut world);
    let with_core = core(Corner::MAX);
    let bad = [
        PowerChange { sleep_latency_us: Some(9), ..with_core },
        PowerChange { sleep_latency_us: Some(65_536), ..with_core },
        PowerChange { rpc_polling_us: Some(10_000), ..with_core },
        PowerChange { rpc_polling_us: Some(u32::MAX), ..with_core },
        PowerChange { hmx_timeout_us: Some(0), ..with_core },
    ];
    for change in bad {
        assert_eq!(set(&mut world, id, &change), Err(PowerError::OutOfRange));
        assert_eq!(*world.runtime.power_in_effect(), core_settings(Corner::NOM));
    }
    assert_eq!(take_votes(&mut world), []);
    for latency_us in [10, 65_535] {
        let change = PowerChange { sleep_latency_us: Some(latency_us), ..PowerChange::default() };
        assert_eq!(set(&mut world, id, &change), Ok(()));
        assert_eq!(take_votes(&mut world)[0].sleep_latency_us.map(u32::from), Some(latency_us));
    }
    for polling_us in [9_999, 0] {
        let change = PowerChange { rpc_polling_us: Some(polling_us), ..PowerChange::default() };
        assert_eq!(set(&mut world, id, &change), Ok(()));
        assert_eq!(u32::from(take_votes(&mut world)[0].rpc_polling_us), polling_us);
    }
}

// REQ: PERF-055
#[test]
fn corners_have_an_order_and_a_range() {
    let named = [
        Corner::DISABLE,
        Corner::MIN,
        Corner::SVS2,
        Corner::SVS,
        Corner::SVS_PLUS,
        Corner::NOM,
        Corner::NOM_PLUS,
        Corner::TURBO,
        Corner::MAX,
    ];
    assert!(named.is_sorted_by(|low, high| low < high));
    for corner in named {
        assert_eq!(Corner::from_number(corner.number().into()), Some(corner));
    }
    for number in [0, 15, 161, 272, u32::MAX] {
        assert_eq!(Corner::from_number(number), None);
    }
    for number in [0, 255, 737, 65_534, 65_536, u32::MAX] {
        assert_eq!(HmxCorner::from_number(number), None);
    }
    let (low, mid, high) = (Corner::SVS, Corner::NOM, Corner::TURBO);
    assert!(Corners::new(low, mid, high).is_some());
    for [min, target, max] in [[mid, low, high], [low, high, mid], [high, high, low]] {
        assert_eq!(Corners::new(min, target, max), None);
    }
}

// REQ: PERF-003, PERF-018, PERF-020, PERF-022
#[test]
fn remote_call_settings_are_the_platforms() {
    let change = |latency_us| PowerChange {
        rpc_latency_us: Some(latency_us),
        rpc_polling_us: Some(1),
        ..core(Corner::MAX)
    };
    for platform in [PlatformKind::QnxAdas, PlatformKind::QnxIvi] {
        let mut world = World::with(platform.capabilities(75), CAPACITIES);
        let id = config(&mut world.runtime);
        assert_eq!(set(&mut world, id, &change(100)), Err(PowerError::NotSupported));
        assert_eq!(*world.runtime.power_in_effect(), PowerSettings::NONE);
        assert_eq!(set(&mut world, id, &core(Corner::MAX)), Ok(()));
    }
    for platform in [PlatformKind::Android, PlatformKind::LinuxArm, PlatformKind::Windows] {
        let mut world = World::with(platform.capabilities(75), CAPACITIES);
        let id = config(&mut world.runtime);
        let adaptive = PowerChange { adaptive_polling_us: Some(1_000), ..PowerChange::default() };
        assert_eq!(set(&mut world, id, &adaptive), Err(PowerError::NeedsPolling));
        for latency_us in [100, 199, 200, 1_000] {
            assert_eq!(set(&mut world, id, &change(latency_us)), Ok(()));
            assert_eq!(take_votes(&mut world)[0].rpc_latency_us, Some(latency_us));
        }
        assert_eq!(set(&mut world, id, &change(0)), Ok(()));
        assert_eq!(world.runtime.power_in_effect().rpc_latency_us, None);
        assert_eq!(set(&mut world, id, &adaptive), Ok(()));
        assert_eq!(world.runtime.power_in_effect().adaptive_polling_us, 1_000);
        let no_polling = PowerChange { rpc_polling_us: Some(0), ..PowerChange::default() };
        assert_eq!(set(&mut world, id, &no_polling), Ok(()));
        assert_eq!(world.runtime.power_in_effect().adaptive_polling_us, 0);
    }
}

// REQ: PERF-025, PERF-028, PERF-030, PERF-036
#[test]
fn the_matrix_unit_is_voted_for_beside_the_core_or_not_at_all() {
    let vote = HmxChoice::Vote(hmx(512, 640, 640, 0));
    let alone = PowerChange { hmx: Some(vote), ..PowerChange::default() };
    let mut old = World::with(PlatformKind::QnxAdas.capabilities(73), CAPACITIES);
    let id = config(&mut old.runtime);
    let together = PowerChange { hmx: Some(vote), ..core(Corner::NOM) };
    assert_eq!(set(&mut old, id, &together), Err(PowerError::NotSupported));

    let (mut world, id) = world();
    let voter = config(&mut world.runtime);
    assert_eq!(set(&mut world, voter, &core(Corner::NOM)), Ok(()));
    for choice in [vote, HmxChoice::Default] {
        let change = PowerChange { hmx: Some(choice), ..alone };
        assert_eq!(set(&mut world, id, &change), Err(PowerError::NeedsCoreVote));
    }
    assert_eq!(*world.runtime.power_in_effect(), core_settings(Corner::NOM));
}

// REQ: PERF-029, PERF-031, PERF-032, PERF-035, PERF-037
#[test]
fn a_matrix_vote_stays_until_the_default_is_picked() {
    let (mut world, id) = world();
    let vote = hmx(512, 640, 640, 2);
    let alone = |choice| PowerChange { hmx: Some(choice), ..PowerChange::default() };
    assert_eq!(set(&mut world, id, &core(Corner::NOM)), Ok(()));
    assert_eq!(world.runtime.power_in_effect().hmx, None);
    assert_eq!(set(&mut world, id, &alone(HmxChoice::Vote(vote))), Ok(()));
    let in_two_calls = *world.runtime.power_in_effect();
    assert_eq!(in_two_calls.hmx, Some(vote));
    assert_eq!(set(&mut world, id, &core(Corner::TURBO)), Ok(()));
    assert_eq!(world.runtime.power_in_effect().hmx, Some(vote));
    assert_eq!(set(&mut world, id, &alone(HmxChoice::Default)), Ok(()));
    assert_eq!(*world.runtime.power_in_effect(), core_settings(Corner::TURBO));
    let both = PowerChange { hmx: Some(HmxChoice::Vote(vote)), ..core(Corner::NOM) };
    assert_eq!(set(&mut world, id, &both), Ok(()));
    assert_eq!(*world.runtime.power_in_effect(), in_two_calls);
}

// REQ: PERF-033, PERF-038
#[test]
fn removing_the_core_vote_removes_the_matrix_vote() {
    let (mut world, id) = world();
    let vote = HmxChoice::Vote(hmx(512, 640, 640, 0));
    let both = PowerChange { hmx: Some(vote), ..core(Corner::NOM) };
    let alone = PowerChange { hmx: Some(vote), ..PowerChange::default() };
    assert_eq!(set(&mut world, id, &both), Ok(()));
    assert_eq!(set(&mut world, id, &core(Corner::DISABLE)), Ok(()));
    assert_eq!(*world.runtime.power_in_effect(), PowerSettings::NONE);
    assert_eq!(set(&mut world, id, &alone), Err(PowerError::NeedsCoreVote));
    // A restart takes the core vote away just the same.
    assert_eq!(set(&mut world, id, &both), Ok(()));
    world.crash();
    assert_eq!(set(&mut world, id, &alone), Err(PowerError::NeedsCoreVote));
    assert_eq!(set(&mut world, id, &both), Ok(()));
}

// REQ: SSR-026, PERF-062
#[test]
fn a_restart_brings_the_default_memory_configuration_back() {
    let (mut world, _) = world();
    let grown = MemoryConfig { grow_bytes: 16 << 20 };
    for _ in 0..2 {
        assert_eq!(world.runtime.memory_config(), MemoryConfig::default());
        assert_eq!(world.runtime.memory_config_set(grown), Ok(()));
        world.settle();
        assert_eq!(world.runtime.memory_config(), grown);
        assert_eq!(world.device.journal.last(), Some(&Seen::MemorySet(grown)));
        world.crash();
        assert_eq!(world.device.journal.last(), Some(&Seen::Connect(1)));
    }
    assert_eq!(world.runtime.counters().faults, 0);
}

/// Device time in microseconds of one execution of the digit network.
fn execution_us(world: &mut Digits) -> u64 {
    world.drain();
    world.submit(&[7; IMAGE_BYTES]);
    let completions = world.drain().into_iter().filter_map(|notice| match notice {
        Notice::Completion(completion) => Some(completion.times.device_time_us),
        Notice::Restart(_) => None,
    });
    let [time_us] = completions.collect::<Vec<_>>()[..] else { panic!("one execution") };
    time_us
}

// REQ: SSR-025, SSR-026
#[test]
fn the_virtual_device_is_as_fast_as_voted_until_it_restarts() {
    let mut world = Digits::new(1);
    let model = VhtpConfig::default();
    let id = config(&mut world.runtime);
    let default_us = execution_us(&mut world);
    let grown = MemoryConfig { grow_bytes: 4096 };
    for _ in 0..2 {
        assert_eq!(world.runtime.power_config_set(id, &core(Corner::MIN)), Ok(()));
        assert_eq!(world.runtime.memory_config_set(grown), Ok(()));
        let slow_us = execution_us(&mut world);
        assert_eq!(world.device.frequency_mhz(), model.frequency_mhz_at(Corner::MIN));
        assert_eq!(*world.device.power(), core_settings(Corner::MIN));
        assert_eq!(world.device.memory_config(), grown);
        // Cycles are the same; both times are rounded up to microseconds.
        let (default_mhz, slow_mhz) = (model.frequency_mhz(), world.device.frequency_mhz());
        let cycles = slow_us * u64::from(slow_mhz);
        assert!(cycles.abs_diff(default_us * u64::from(default_mhz)) <= u64::from(default_mhz));
        assert!(slow_us > default_us);

        world.device.inject(Fault::CrashNow);
        world.drain();
        world.recreate(1);
        assert_eq!(*world.device.power(), PowerSettings::NONE);
        assert_eq!(world.device.memory_config(), MemoryConfig::default());
        assert_eq!(execution_us(&mut world), default_us);
    }
    let votes = world.device.journal().filter(|entry| entry.what == JournalKind::PowerVote);
    let votes: Vec<_> = votes.map(|entry| (entry.epoch.number(), entry.arg)).collect();
    let arg = u64::from(model.frequency_mhz_at(Corner::MIN)) << 48 | 0x20_2020;
    assert_eq!(votes, [(1, arg), (2, arg)]);
}

#[test]
fn clocks_rise_with_the_corner_and_the_architecture() {
    for arch in [68, 69, 73, 75, 79] {
        let model = VhtpConfig { arch, ..VhtpConfig::default() };
        let clocks =
            (16..=160).map(|number| model.frequency_mhz_at(Corner::from_number(number).unwrap()));
        let clocks: Vec<_> = clocks.collect();
        assert!(clocks.is_sorted());
        assert_eq!(clocks.iter().collect::<std::collections::HashSet<_>>().len(), 9);
        assert_eq!(model.frequency_mhz(), model.frequency_mhz_at(Corner::NOM_PLUS));
    }
    let mhz = |arch| VhtpConfig { arch, ..VhtpConfig::default() }.frequency_mhz();
    assert_eq!([68, 69, 73, 75].map(mhz), [1_000, 1_150, 1_200, 1_350]);
}
