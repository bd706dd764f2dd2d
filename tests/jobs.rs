//! Every kind of configuration against golden files: `tests/golden/jobs/KIND-CASE.json` has the parameters, the `.txt`
//! next to it the lines, byte for byte. `GOLDEN=write` writes the lines of new or changed parameters.
//!
//! The lines are also run by the simulated device, which must end up with the values of the job. Also tests the
//! commands of the program that print lines or check lists.

// Helper functions may fail like tests; clippy only excuses functions marked as tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use provbroker::core::model::device::{Device, Domain, Facts, Way};
use provbroker::core::model::ids::{CategoryId, DeviceId, DeviceKey, DomainId, DomainName, JobId, Secret};
use provbroker::core::model::time::UnixMillis;
use provbroker::core::model::work::State;
use provbroker::core::policy::jobs::builds::BuildList;
use provbroker::core::policy::jobs::config::schema::{Field, How, Type};
use provbroker::core::policy::jobs::config::{Configuration, Kind};
use provbroker::core::policy::jobs::plan::{Occasion, plan};
use provbroker::core::policy::jobs::retry::RetryPolicy;
use provbroker::core::policy::jobs::{Hours, Job, JobSpec, Task, Update};
use provbroker::core::protocol::script;
use provbroker::core::session::device::settings::{Action, Machine, Now, Settings};
use serde_json::Value;

const MAC: &str = "00903341a0b1";

fn device() -> Device {
    Device {
        id: DeviceId(1),
        key: DeviceKey::parse(MAC).unwrap(),
        domain: DomainName::parse("example.com").unwrap(),
        category: CategoryId(1),
        way: Way::Code,
        password: Secret::new("x"),
        tentative: false,
        admin_password: None,
        entry_code: None,
        pending: None,
        entered: UnixMillis(0),
        name: None,
        app_ip: None,
        work: provbroker::core::model::work::Work::default(),
        facts: Facts { product: "IP112".into(), platform: "PHONE".into(), ..Facts::default() },
    }
}

fn domain() -> Domain {
    Domain {
        id: DomainId(1),
        name: DomainName::parse("example.com").unwrap(),
        password: Secret::default(),
        admin_password: Secret::default(),
        auto_token: Secret::default(),
        access_to: Vec::new(),
        revision: 1,
        categories: Vec::new(),
    }
}

fn settings() -> Settings {
    let machine = Machine {
        mac: MAC.into(),
        product: "IP112".into(),
        release: "13r3".into(),
        fw_build: "136012".into(),
        bc_build: "136012".into(),
        hw_build: "300".into(),
        ip: "192.0.2.17".into(),
    };
    Settings::factory(machine, "http://h/")
}

#[derive(Clone)]
struct Case {
    name: String,
    configuration: Configuration,
    lines: PathBuf,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/jobs");
    let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        files.entry(path.file_stem().unwrap().to_str().unwrap().to_owned()).or_default().push(path);
    }
    let case = |(name, _): (&String, &Vec<PathBuf>)| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/jobs").join(name);
        let text = fs::read_to_string(path.with_extension("json")).unwrap_or_else(|_| panic!("{name} has no .json"));
        let configuration: Configuration = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(name.starts_with(configuration.kind.name()), "{name} is of kind {}", configuration.kind);
        configuration.check().unwrap_or_else(|e| panic!("{name}: {e}"));
        Case { name: name.clone(), configuration, lines: path.with_extension("txt") }
    };
    files.iter().map(case).collect()
}

/// Runs lines one by one as the tunnel would deliver them, and ends like the worker does.
fn run(settings: &mut Settings, lines: &[String], unknown_allowed: bool) {
    for line in lines.iter().map(String::as_str).chain(["config write", "config activate"]) {
        assert!(line.len() < 2000 && !line.contains(['\r', '\n']), "{line}");
        // Encoding for the tunnel loses nothing.
        let path = script::encode::command_path(line);
        let arrived = script::encode::line_of_path(&path).unwrap();
        let actions = settings.run(&script::parse(&arrived), Now::default());
        let reported = actions.iter().any(|action| matches!(action, Action::Report(_)));
        assert!(unknown_allowed || !reported, "{line}");
    }
}

/// The option that the device must have for a parameter.
fn expected(field: &Field, value: &Value, port: &str) -> String {
    let Some(text) = value.as_str() else { return value.to_string() };
    if !field.per_device {
        return text.to_owned();
    }
    let placeholders =
        [("#m", "00-90-33-41-a0-b1"), ("#h", "IP112-41-a0-b1"), ("#t", "IP112"), ("#p", port), ("##", "#")];
    placeholders.iter().fold(text.to_owned(), |text, (placeholder, value)| text.replace(placeholder, value))
}

fn assert_kept(case: &Case, settings: &Settings) {
    let Case { name, configuration, .. } = case;
    let schema = configuration.kind.schema();
    let ports: Vec<&str> = match schema.how {
        How::EachPort => configuration.values["ports"].as_str().unwrap().split(',').collect(),
        How::Table => vec![""],
        How::Certificates | How::Raw => return,
    };
    for (port, line) in ports.iter().flat_map(|port| schema.lines.iter().map(move |line| (*port, line))) {
        let module = if port.is_empty() { line.module } else { port };
        for field in line.fields.iter().filter(|field| !field.option.is_empty()) {
            let kept = settings.active().value(module, field.option).map(Secret::expose);
            match configuration.values.get(field.name) {
                None | Some(Value::Bool(false)) => {
                    assert!(!settings.active().has(module, field.option), "{name} {field:?}");
                }
                Some(Value::Bool(true)) => assert!(settings.active().has(module, field.option), "{name} {field:?}"),
                Some(value) => assert_eq!(kept, Some(&*expected(field, value, port)), "{name} {field:?}"),
            }
        }
        assert!(line.part.is_none_or(|part| settings.active().has(module, part)), "{name}");
    }
}

#[test]
fn lines_are_as_in_the_golden_files() {
    let write = std::env::var_os("GOLDEN").is_some_and(|how| how == "write");
    for Case { name, configuration, lines: path } in cases() {
        let lines = configuration.lines(&device()).join("\n") + "\n";
        if write {
            fs::write(&path, &lines).unwrap();
        }
        let golden = fs::read_to_string(&path).unwrap_or_else(|_| panic!("{name} has no .txt"));
        assert_eq!(lines, golden, "{name}");
    }
}

#[test]
fn every_kind_has_a_minimal_a_full_and_a_hostile_case() {
    let names: Vec<String> = cases().into_iter().map(|case| case.name).collect();
    for (kind, case) in Kind::ALL.iter().flat_map(|kind| ["minimal", "full", "nasty"].map(|case| (kind, case))) {
        assert!(names.contains(&format!("{kind}-{case}")), "{kind}-{case} is missing");
    }
}

#[test]
fn the_simulated_device_keeps_what_the_job_says() {
    for case in cases() {
        let mut settings = settings();
        run(&mut settings, &case.configuration.lines(&device()), case.configuration.kind == Kind::Raw);
        assert_kept(&case, &settings);
    }
}

#[test]
fn no_kind_undoes_another_and_a_later_job_leaves_nothing_of_an_earlier_one() {
    let cases = cases();
    let mut settings = settings();
    for suffix in ["full", "nasty", "minimal"] {
        let round: Vec<&Case> = cases.iter().filter(|case| case.name.ends_with(suffix)).collect();
        for case in &round {
            run(&mut settings, &case.configuration.lines(&device()), case.configuration.kind == Kind::Raw);
        }
        for case in round {
            assert_kept(case, &settings);
        }
    }
}

#[test]
fn certificates_arrive_in_pieces() {
    let case = cases().into_iter().find(|case| case.name == "certificates-full").unwrap();
    let mut settings = settings();
    run(&mut settings, &case.configuration.lines(&device()), false);
    let piece = |name: &str| settings.variable(&format!("X509/TRUSTED-{name}")).map(|hex| hex.expose().len() / 2);
    assert_eq!(settings.active().value("X509", "/trusted").map(Secret::expose), Some("2"));
    // A DER sequence starts with its length.
    let announced = |name: &str| {
        let hex = settings.variable(&format!("X509/TRUSTED-{name}")).unwrap().expose();
        assert!(hex.starts_with("3082"));
        4 + usize::from_str_radix(&hex[4..8], 16).unwrap()
    };
    assert_eq!((piece("1-1"), piece("1-2")), (Some(announced("1-1")), None));
    assert_eq!((piece("2-1"), piece("2-2"), piece("2-3")), (Some(900), Some(announced("2-1") - 900), None));
}

/// The cases that set every parameter.
static FULL: LazyLock<Vec<Case>> =
    LazyLock::new(|| cases().into_iter().filter(|case| case.name.ends_with("-full")).collect());

proptest! {
    // Each case checks and runs every kind.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_arrives_as_it_is_or_is_refused(texts in prop::collection::vec(".{1,300}", 8)) {
        for mut case in FULL.iter().cloned() {
            let fields = case.configuration.kind.schema().fields();
            for (field, text) in fields.filter(|field| matches!(field.kind, Type::Text(_))).zip(&texts) {
                let Type::Text(max) = field.kind else { continue };
                // Placeholders have tests of their own.
                let text: String = text.replace(|c: char| c.is_control() || c == '#', "+").chars().take(max).collect();
                case.configuration.values.insert(field.name.into(), text.into());
            }
            if case.configuration.check().is_ok() {
                let mut settings = settings();
                run(&mut settings, &case.configuration.lines(&device()), case.configuration.kind == Kind::Raw);
                assert_kept(&case, &settings);
            }
        }
    }

    #[test]
    fn any_lines_stay_lines_or_are_refused(lines in "((config (add|rem|show)|vars|mod cmd UP[01]|!|#)? ?\\PC{0,40}(\r?\n|\t)){0,5}") {
        let values = serde_json::json!({"kind": "raw", "values": {"lines": lines}});
        let configuration: Configuration = serde_json::from_value(values).unwrap();
        if configuration.check().is_ok() {
            run(&mut settings(), &configuration.lines(&device()), true);
        }
    }
}

/// Sends the lines of an update to the simulated device; true if it restarts at the end.
fn update(settings: &mut Settings, lines: &[String]) -> bool {
    let mut restarts = false;
    for line in lines {
        for action in settings.run(&script::parse(line), Now::default()) {
            match action {
                Action::Load(part, order) => assert!(settings.loaded(part, &order).is_empty(), "{line}"),
                Action::Restart { when_idle } => restarts = when_idle,
                other => panic!("{line}: {other:?}"),
            }
        }
    }
    restarts
}

#[test]
fn a_device_that_believes_it_has_the_build_already_gets_it_with_the_second_attempt() {
    let list = r#"{"baseUrl":"http://h/","products":{"IP112":{"firmware":"136044","bootcode":"136044"}}}"#;
    let builds = Arc::new(BuildList::read(list.as_bytes()).unwrap());
    let task = Task::Update(Update { builds, hours: Hours::default() });
    let jobs = [Job {
        id: JobId(1),
        created: UnixMillis(0),
        order: JobSpec { category: None, desc: None, task },
        config: None,
    }];
    let mut settings = settings();
    settings.run(&script::parse("vars create UPDATE/PROT h 136044"), Now::default());
    let mut device = device();
    let said = |device: &mut Device, settings: &Settings| {
        device.facts.fw_build = Some(settings.machine.fw_build.clone());
        device.facts.bc_build = Some(settings.machine.bc_build.clone());
    };
    said(&mut device, &settings);

    let first = plan(&device, &domain(), &jobs, Occasion::Registered, UnixMillis(0), &RetryPolicy::default());
    device.work = first.work;
    let order = first.update.unwrap();
    device.work.update_ordered(&order, UnixMillis(0));
    // The boot code is loaded, the firmware is not.
    assert!(update(&mut settings, &order.lines));
    said(&mut device, &settings);
    let back = plan(&device, &domain(), &jobs, Occasion::Registered, UnixMillis(60_000), &RetryPolicy::default());
    let reason = "still running: firmware 136012 instead of 136044";
    assert_eq!(back.work.update.as_ref().unwrap().state, State::Failed(reason.into()));
    device.work = back.work;

    let second = plan(&device, &domain(), &jobs, Occasion::Meanwhile, UnixMillis(120_000), &RetryPolicy::default());
    device.work = second.work;
    let order = second.update.unwrap();
    device.work.update_ordered(&order, UnixMillis(120_000));
    assert!(update(&mut settings, &order.lines));
    said(&mut device, &settings);
    let done = plan(&device, &domain(), &jobs, Occasion::Registered, UnixMillis(180_000), &RetryPolicy::default());
    assert!(done.update.is_none() && !done.update_open && done.clean_up);
    assert_eq!(done.work.update.unwrap().state, State::Done);
}

fn program(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_provbroker"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PROVBROKER__")) {
        command.env_remove(name);
    }
    let output = command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_program_prints_ready_scripts() {
    assert_eq!(
        program(&["script", "v12-cleanup"]),
        (
            Some(0),
            "config rem UP1 /provisioning\nconfig rem UP1 /provision\nvars del UPDATE/PROVISIONING-CODE\nconfig write\n\
             config activate\n"
                .into(),
            String::new()
        )
    );
    let auto = ["script", "auto", "--domain", "domain.com", "--token", "abcdef#XYZ", "--category", "acme IP Phone"];
    let with_url = [&auto[..], &["--url", "wss://apdnsname.com/domain.com/devices/sysclients"]].concat();
    assert_eq!(
        program(&with_url),
        (
            Some(0),
            "config change SYSCLIENT /sysadmin wss%3A%2F%2Fapdnsname.com%2Fdomain.com%2Fdevices%2Fsysclients%3Fdomain%3D\
             domain.com%26token%3Dabcdef%2523XYZ%26category%3Dacme%2520IP%2520Phone\n"
                .into(),
            String::new()
        )
    );
    let (code, out, _) = program(&auto);
    let value = "ws%3A%2F%2F127.0.0.1%3A8080%2Fexample.com%2Fdevices%2Fsysclients%3Fdomain%3Ddomain.com%26";
    assert!(code == Some(0) && out.starts_with(&format!("config change SYSCLIENT /sysadmin {value}")), "{out}");
    let (code, out, err) = program(&[&auto[..], &["--url", "https://h/"]].concat());
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert_eq!(err, "provbroker: url: must be wss://HOST/DOMAIN/INSTANCE/sysclients, without a query\n");
}

#[test]
fn the_program_checks_build_lists() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("builds.json");
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        program(&["check-builds", file.to_str().unwrap()])
    };
    let (code, out, _) = check(r#"{"baseUrl":"http://h/","products":{"IP112":{"firmware":"136044"}}}"#);
    assert_eq!((code, out.as_str()), (Some(0), "ok: 1 products at http://h/\n"));
    let (code, _, err) = check(r#"{"baseUrl":"http://h/","products":{"IP112":{"firmware":"13.6044"}}}"#);
    assert_eq!((code, err.lines().count()), (Some(2), 1));
    assert!(err.contains("builds.json: products.IP112.firmware: a build number is 1 to 10 digits"), "{err}");
    assert_eq!(program(&["check-builds", "no/such.json"]).0, Some(2));
}
