//! Devices against the server.

use proptest::prelude::*;

use super::device_store::HOME_CODES;
use super::device_world::{Delivery, StoreOutcome, World};

#[derive(Debug, Clone)]
enum Step {
    Connect,
    Cut {
        read: usize,
        server_knows: bool,
    },
    Up(Delivery),
    Down(Delivery),
    /// Delivers everything for a while.
    Flow,
    Type(u64),
    Version(u8),
    Pass(u64),
    DomainLost,
    Attack,
}

fn delivery() -> impl Strategy<Value = Delivery> {
    prop_oneof![6 => Just(Delivery::Arrive), 1 => Just(Delivery::Double), 1 => Just(Delivery::Drop), 1 => Just(Delivery::Later)]
}

/// Codes below `codes` may be typed.
fn step(codes: u64) -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Connect),
        2 => (0..4_usize, any::<bool>()).prop_map(|(read, server_knows)| Step::Cut { read, server_knows }),
        6 => delivery().prop_map(Step::Up),
        6 => delivery().prop_map(Step::Down),
        2 => Just(Step::Flow),
        3 => (0..codes).prop_map(Step::Type),
        1 => any::<u8>().prop_map(Step::Version),
        2 => prop_oneof![Just(1_000), Just(5_000), Just(29_999), Just(30_000), Just(90_000)].prop_map(Step::Pass),
        1 => Just(Step::DomainLost),
        1 => Just(Step::Attack),
    ]
}

fn store_outcomes() -> impl Strategy<Value = Vec<StoreOutcome>> {
    prop::collection::vec(
        prop_oneof![8 => Just(StoreOutcome::Good), 1 => Just(StoreOutcome::Fails), 1 => Just(StoreOutcome::AnswerLost)],
        0..60,
    )
}

fn run(world: &mut World, steps: Vec<(usize, Step)>) {
    for (device, step) in steps {
        match step {
            Step::Connect => world.connect(device),
            Step::Cut { read, server_knows } => world.cut(device, read, server_knows),
            Step::Up(delivery) => world.up(device, delivery),
            Step::Down(delivery) => world.down(device, delivery),
            Step::Flow => {
                for _ in 0..6 {
                    world.up(device, Delivery::Arrive);
                    world.down(device, Delivery::Arrive);
                }
            }
            Step::Type(number) => world.type_code(device, number),
            Step::Version(version) => world.new_version(device, version),
            Step::Pass(millis) => world.pass(millis),
            Step::DomainLost => world.domain_lost(device),
            Step::Attack => world.attack(device),
        }
    }
    world.quiet();
    world.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// With valid codes, or by the query, device and server agree on the password after any failure.
    #[test]
    fn a_quiet_connection_mends_whatever_went_wrong_before(
        auto in any::<bool>(),
        store_outcomes in store_outcomes(),
        numbers in prop::collection::vec(step(HOME_CODES / 2), 0..60),
    ) {
        let mut world = World::new(&[auto], store_outcomes);
        // A single device uses the even codes only.
        let steps = numbers.into_iter().map(|s| match s {
            Step::Type(number) => Step::Type(2 * number),
            step => step,
        });
        run(&mut world, steps.map(|s| (0, s)).collect());
    }

    /// Two devices, with codes of either, of another domain, and unknown ones.
    #[test]
    fn nobody_becomes_a_member_without_proof(
        auto in any::<[bool; 2]>(),
        store_outcomes in store_outcomes(),
        steps in prop::collection::vec((0..2_usize, step(2 * HOME_CODES + 20)), 0..80),
    ) {
        run(&mut World::new(&auto, store_outcomes), steps);
    }

    /// Few codes, so that both devices use most of them.
    #[test]
    fn of_two_devices_with_one_code_one_enters(
        store_outcomes in store_outcomes(),
        steps in prop::collection::vec((0..2_usize, step(3)), 0..80),
    ) {
        run(&mut World::new(&[false, false], store_outcomes), steps);
    }
}
