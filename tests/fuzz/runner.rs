//! Runs a target on its kept inputs, and then on generated ones until its time is over.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use proptest::strategy::BoxedStrategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// Seconds for each target; `make fuzz` sets more.
const SECONDS: u64 = 5;

/// Cases between two looks at the clock.
const BATCH: u32 = 200;

/// What a target says of an input: an error is a finding, like a panic.
pub type Finding = Result<(), String>;

/// Folder of the inputs that a target keeps: what was found once is tried first, forever.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.expect("a readable folder").path()).collect())
        .unwrap_or_default();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read(file).expect("a readable file"))).collect()
}

/// The kept inputs of a target, as seeds.
pub fn kept(target: &str) -> Vec<Vec<u8>> {
    corpus(target).into_iter().map(|(_, bytes)| bytes).collect()
}

/// Tries a target. The random numbers depend on `FUZZ_SEED` only, so a finding can be repeated.
pub fn fuzz(target: &str, inputs: &BoxedStrategy<Vec<u8>>, check: impl Fn(&[u8]) -> Finding) {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    for (file, bytes) in corpus(target) {
        if let Err(finding) = check(&bytes) {
            panic!("{}: {finding}", file.display());
        }
    }
    let seed = number("FUZZ_SEED").unwrap_or(1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: BATCH, failure_persistence: None, max_shrink_time: 20_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let (begun, limit) = (Instant::now(), Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(SECONDS)));
    let mut cases = 0;
    while begun.elapsed() < limit {
        let outcome = runner.run(inputs, |input| check(&input).map_err(TestCaseError::fail));
        if let Err(finding) = outcome {
            panic!("{target}: {finding}; keep the input as a file in tests/fuzz/corpus/{target}");
        }
        cases += BATCH;
    }
    println!("{target}: {cases} inputs, FUZZ_SEED={seed}");
}
