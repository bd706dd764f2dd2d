//! Scenario files, those that are shipped among them.

use super::*;

#[test]
fn each_shipped_scenario_is_read_by_the_subcommand_that_it_names() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        let scenario: Settings = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let kind = scenario.kind.unwrap_or_else(|| panic!("{} names no kind", file.display()));
        let arguments = Arguments { scenario: Some(file), settings: Settings::default() };
        let settings = arguments.settings(kind).unwrap();
        assert_eq!(settings, scenario);
        assert_eq!(kind == Kind::Mixed, !settings.groups.is_empty(), "{:?}", arguments.scenario);
        seen += 1;
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn the_command_line_goes_before_the_file() {
    let text = "devices = 5\narrival = \"poisson:7\"\nset = [\"a.b=c\"]\nreturn = \"3s\"";
    let over = Settings { devices: Some(9), ..Settings::default() };
    let settings = overlay(text, &over, Kind::Storm).unwrap();
    assert_eq!(settings.devices, Some(9));
    assert_eq!(settings.arrival, Some(Arrival::Poisson(7.0)));
    assert_eq!(settings.set, ["a.b=c"]);
    assert_eq!(settings.return_after, Some(Span(Duration::from_secs(3))));
}

#[test]
fn mistakes_in_a_file_are_told() {
    let wrong = |text: &str| overlay(text, &Settings::default(), Kind::Storm).unwrap_err().to_string();
    assert!(wrong("device = 5").contains("unknown field"));
    assert!(wrong("arrival = \"soon\"").contains("write at-once"));
    assert!(wrong("kind = \"steady\"").contains("another subcommand"));
}

#[test]
fn times_are_written_as_people_do() {
    for (text, millis) in [("2s", 2000), ("500ms", 500), ("3", 3000), ("0.5", 500)] {
        assert_eq!(text.parse::<Span>().unwrap().0, Duration::from_millis(millis));
    }
    assert!("soon".parse::<Span>().is_err());
    assert!("-1".parse::<Span>().is_err());
}
