//! Devices against the server.

use proptest::prelude::*;

use super::phone_store::HOME_CODES;
use super::phone_world::{Fate, Luck, World};

#[derive(Debug, Clone)]
enum Step {
    Connect,
    Cut {
        read: usize,
        server_knows: bool,
    },
    Up(Fate),
    Down(Fate),
    /// Everything arrives for a while.
    Flow,
    Type(u64),
    Version(u8),
    Pass(u64),
    DomainLost,
    Attack,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![6 => Just(Fate::Arrive), 1 => Just(Fate::Double), 1 => Just(Fate::Drop), 1 => Just(Fate::Later)]
}

/// Codes below `codes` may be typed.
fn step(codes: u64) -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Connect),
        2 => (0..4_usize, any::<bool>()).prop_map(|(read, server_knows)| Step::Cut { read, server_knows }),
        6 => fate().prop_map(Step::Up),
        6 => fate().prop_map(Step::Down),
        2 => Just(Step::Flow),
        3 => (0..codes).prop_map(Step::Type),
        1 => any::<u8>().prop_map(Step::Version),
        2 => prop_oneof![Just(1_000), Just(5_000), Just(29_999), Just(30_000), Just(90_000)].prop_map(Step::Pass),
        1 => Just(Step::DomainLost),
        1 => Just(Step::Attack),
    ]
}

fn luck() -> impl Strategy<Value = Vec<Luck>> {
    prop::collection::vec(
        prop_oneof![8 => Just(Luck::Good), 1 => Just(Luck::Fails), 1 => Just(Luck::AnswerLost)],
        0..60,
    )
}

fn run(world: &mut World, steps: Vec<(usize, Step)>) {
    for (device, step) in steps {
        match step {
            Step::Connect => world.connect(device),
            Step::Cut { read, server_knows } => world.cut(device, read, server_knows),
            Step::Up(fate) => world.up(device, fate),
            Step::Down(fate) => world.down(device, fate),
            Step::Flow => {
                for _ in 0..6 {
                    world.up(device, Fate::Arrive);
                    world.down(device, Fate::Arrive);
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

    /// With good codes, or by the query, device and server agree on the password after every mishap.
    #[test]
    fn a_quiet_connection_mends_whatever_went_wrong_before(
        auto in any::<bool>(),
        luck in luck(),
        numbers in prop::collection::vec(step(HOME_CODES / 2), 0..60),
    ) {
        let mut world = World::new(&[auto], luck);
        // A single device has the even codes for itself.
        let steps = numbers.into_iter().map(|s| match s {
            Step::Type(number) => Step::Type(2 * number),
            step => step,
        });
        run(&mut world, steps.map(|s| (0, s)).collect());
    }

    /// Two devices, and codes of both, of another domain, and such as there are none.
    #[test]
    fn nobody_becomes_a_member_without_proof(
        auto in any::<[bool; 2]>(),
        luck in luck(),
        steps in prop::collection::vec((0..2_usize, step(2 * HOME_CODES + 20)), 0..80),
    ) {
        run(&mut World::new(&auto, luck), steps);
    }

    /// Few codes: most of them are wanted by both.
    #[test]
    fn of_two_devices_with_one_code_one_enters(
        luck in luck(),
        steps in prop::collection::vec((0..2_usize, step(3)), 0..80),
    ) {
        run(&mut World::new(&[false, false], luck), steps);
    }
}
