//! App connections of Users against the server.

use proptest::prelude::*;
use provbroker::core::session::app::client::Ask;

use super::app_world::World;

#[derive(Debug, Clone)]
enum Step {
    Connect,
    Cut {
        read: usize,
        server_knows: bool,
    },
    Up,
    Down,
    /// Delivers everything for a while.
    Flow,
    AskCode,
    AskCategories,
    Answer {
        which: usize,
        well: bool,
    },
    Use(usize),
    Pass(u64),
    AnswerPings(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Connect),
        1 => (0..4_usize, any::<bool>()).prop_map(|(read, server_knows)| Step::Cut { read, server_knows }),
        3 => Just(Step::Up),
        3 => Just(Step::Down),
        5 => Just(Step::Flow),
        4 => Just(Step::AskCode),
        1 => Just(Step::AskCategories),
        5 => (any::<usize>(), prop::bool::weighted(0.9)).prop_map(|(which, well)| Step::Answer { which, well }),
        4 => any::<usize>().prop_map(Step::Use),
        2 => prop_oneof![Just(500), Just(4_999), Just(5_000), Just(30_000), Just(61_000)].prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::AnswerPings),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Wherever connections break, no notice of a code is lost for the client that requested it, and none is
    /// invented.
    #[test]
    fn every_code_gets_its_notice(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Connect => world.connect(),
                Step::Cut { read, server_knows } => world.cut(read, server_knows),
                Step::Up => world.up(),
                Step::Down => world.down(),
                Step::Flow => {
                    for _ in 0..6 {
                        world.up();
                        world.down();
                    }
                }
                Step::AskCode => world.ask(Ask::Code { category: "c".into(), sip: None, rollout: false }),
                Step::AskCategories => world.ask(Ask::Categories { kind: None }),
                Step::Answer { which, well } => world.answer(which, well),
                Step::Use(which) => world.use_code(which),
                Step::Pass(millis) => world.pass(millis),
                Step::AnswerPings(answers) => world.answers_pings = answers,
            }
        }
        world.quiet();
        world.check();
    }
}
