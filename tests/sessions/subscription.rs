//! Whatever changes and whenever it is reported, a client that treats every notice as "insert or replace" ends in the
//! right state (`docs/protocol/devices-api.md` 4.6).

use proptest::prelude::*;

use super::subscription_world::World;

#[derive(Debug, Clone)]
enum Step {
    GetDevices(Vec<u64>, Option<u64>, bool),
    Switch(bool),
    Change(u64, u8),
    Reach(u64),
    Signal,
    LoseSignals,
    Read(usize),
    Answer(usize, bool),
    Flushed,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let domains = prop::collection::vec(1..4_u64, 0..3);
    prop_oneof![
        2 => (domains, prop::option::of(4..6_u64), prop::bool::weighted(0.8))
            .prop_map(|(domains, category, subscribe)| Step::GetDevices(domains, category, subscribe)),
        1 => any::<bool>().prop_map(Step::Switch),
        8 => (1..30_u64, any::<u8>()).prop_map(|(id, change)| Step::Change(id, change)),
        1 => (2..4_u64).prop_map(Step::Reach),
        8 => Just(Step::Signal),
        1 => Just(Step::LoseSignals),
        8 => any::<usize>().prop_map(Step::Read),
        8 => (any::<usize>(), prop::bool::weighted(0.9)).prop_map(|(which, well)| Step::Answer(which, well)),
        3 => Just(Step::Flushed),
        3 => prop_oneof![Just(10), Just(999), Just(1_000), Just(5_000)].prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_client_ends_in_the_right_state(devices in 0..25_u64, steps in prop::collection::vec(step(), 0..200)) {
        let mut world = World::new(devices);
        for step in steps {
            match step {
                Step::GetDevices(domains, category, subscribe) => world.get_devices(&domains, category, subscribe),
                Step::Switch(on) => world.switch(on),
                Step::Change(id, change) => world.change(id, change),
                Step::Reach(domain) => world.change_reach(domain),
                Step::Signal => world.signal(),
                Step::LoseSignals => world.lose_signals(),
                Step::Read(which) => world.read(which),
                Step::Answer(which, well) => world.answer(which, well),
                Step::Flushed => world.flushed(),
                Step::Pass(millis) => world.pass(millis),
            }
        }
        world.quiet();
        world.check();
    }
}
