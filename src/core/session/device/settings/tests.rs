//! A simulated phone from factory state to its Devices service, and each command by itself.

use super::*;
use crate::core::protocol::script::{Script, parse};

const URL: &str = "wss://ap.example.org/example.com/devices/sysclients?token=a%23b";

fn settings() -> Settings {
    let machine = Machine {
        mac: "00903341a0b1".into(),
        product: "IP112".into(),
        release: "13r3 sr9".into(),
        fw_build: "136012".into(),
        bc_build: "136012".into(),
        hw_build: "300".into(),
        ip: "192.0.2.17".into(),
    };
    let mut settings = Settings::factory(machine, FACTORY_URL);
    assert_eq!(settings.start(), [Action::Connect(None), Action::PollEvery(1)]);
    settings
}

fn run(settings: &mut Settings, text: &str) -> Vec<Action> {
    settings.run(&parse(text), Now { hour: Some(12), minutes_up: 60 })
}

/// A phone whose period of fast polling is over.
fn settled() -> Settings {
    let mut phone = settings();
    assert_eq!(run(&mut phone, ""), [Action::PollEvery(15)]);
    phone
}

fn query(settings: &Settings) -> String {
    settings.update_url().expose().split_once('?').unwrap().1.to_owned()
}

const FACTS: &str = "mac=00903341a0b1&type=IP112&ip=192.0.2.17&ver=13r3%20sr9%20IP112%5B13.6012%5D%2C%20Bootcode%5B136012%5D%2C%20HW%5B300%5D";

#[test]
fn from_the_factory_to_devices() {
    let mut phone = settings();
    assert_eq!(phone.update_url().expose(), format!("{FACTORY_URL}?{FACTS}"));

    let form = Script::ask_for_code(true, true).to_string();
    assert_eq!(run(&mut phone, &form), [Action::ShowForm]);
    assert!(phone.active().has("UP1", "/no-dhcp") && phone.shows_form());
    assert_eq!(query(&phone), format!("{FACTS}&PROVISIONING-CODE=prompt"));
    assert_eq!(run(&mut phone, &form), [], "the form is there already");

    assert_eq!(phone.typed("4028-1773-9165#"), [Action::HideForm, Action::PollNow]);
    assert_eq!(run(&mut phone, &form), [Action::ShowForm], "the code was refused");

    assert_eq!(phone.typed("402817739164"), [Action::HideForm, Action::PollNow]);
    assert_eq!(query(&phone), format!("{FACTS}&PROVISIONING-CODE=402817739164"));
    assert_eq!(phone.provisioning_code(), Code::parse("402817739164").ok());

    let handed = run(&mut phone, &Script::hand_over(URL).to_string());
    assert_eq!(handed, [Action::Connect(Some(Secret::new(URL))), Action::PollEvery(15)]);
    assert_eq!(run(&mut phone, &Script::hand_over(URL).to_string()), [], "nothing new");
    assert_eq!(run(&mut phone, &Script::clean_up().to_string()), []);
    assert_eq!((phone.provisioning_code(), query(&phone)), (None, FACTS.to_owned()));
    assert_eq!(phone.start(), [Action::Connect(Some(Secret::new(URL))), Action::PollEvery(15)]);
}

/// `docs/concept.md` section 11: the line alone, without saving, activating or a restart.
#[test]
fn one_line_shows_the_form_again_at_once() {
    let mut phone = settings();
    phone.typed("402817739164");
    run(&mut phone, &Script::hand_over(URL).to_string());
    run(&mut phone, &Script::clean_up().to_string());
    assert!(!phone.shows_form());
    assert_eq!(run(&mut phone, "vars create UPDATE/PROVISIONING-CODE h prompt"), [Action::ShowForm]);
    assert!(phone.shows_form());
    assert_eq!(query(&phone), format!("{FACTS}&PROVISIONING-CODE=prompt"));
    assert_eq!(phone.active().value("SYSCLIENT", "/sysadmin"), Some(&Secret::new(URL)), "it stays with Devices");
}

#[test]
fn fast_polling_ends_by_time_and_by_order() {
    let mut phone = settings();
    let at = |minutes_up| Now { hour: None, minutes_up };
    assert_eq!(phone.run(&[], at(29)), []);
    assert_eq!(phone.run(&[], at(30)), [Action::PollEvery(15)]);
    assert_eq!(phone.run(&[], at(31)), []);
    assert_eq!(phone.run(&parse("mod cmd UP1 provision 2"), at(32)), [Action::PollEvery(2)]);
    assert_eq!(phone.run(&parse("mod cmd UP1 provision 0"), at(33)), [Action::PollEvery(15)]);
    phone.typed(PROMPT);
    assert_eq!(phone.start(), [Action::Connect(None), Action::ShowForm, Action::PollEvery(1)]);
}

#[test]
fn the_three_configurations() {
    let mut phone = settings();
    assert_eq!(
        run(&mut phone, "config change SYSCLIENT /sysadmin ws%3A%2F%2Fa\nconfig write"),
        [Action::PollEvery(15)]
    );
    assert_eq!(phone.devices_url(), None);
    let connect = |url: &str| Action::Connect(Some(Secret::new(url)));
    assert_eq!(run(&mut phone, "config activate"), [connect("ws://a")]);
    assert_eq!(run(&mut phone, "config change SYSCLIENT /sysadmin b\nconfig activate"), [connect("b")]);
    assert_eq!(phone.start()[0], connect("ws://a"), "what is not written is lost");
    assert_eq!(run(&mut phone, "config rem SYSCLIENT /sysadmin\nconfig activate"), [Action::Connect(None)]);
}

#[test]
fn options_are_replaced_added_and_removed() {
    let mut phone = settings();
    run(&mut phone, "config change UP1 /url a /poll 5\nconfig add UP1 /poll 7 /no-dhcp\nconfig activate");
    assert_eq!(phone.active().value("UP1", "/url").unwrap().expose(), "a");
    assert_eq!((phone.poll_minutes(60), phone.poll_minutes(29)), (7, 1));
    run(&mut phone, "config rem UP1 /url\nconfig add UP1 /poll-fast 3\nconfig activate");
    assert!(!phone.active().has("UP1", "/url") && phone.active().has("UP1", "/no-dhcp"));
    assert_eq!((phone.poll_minutes(30), phone.poll_minutes(0)), (7, 3));
    run(&mut phone, "config change UP1 /url broken%zz\nconfig activate");
    assert!(!phone.active().has("UP1", "/no-dhcp"));
    assert_eq!(phone.active().value("UP1", "/url").unwrap().expose(), "broken%zz");
}

#[test]
fn values_are_decoded_once() {
    let mut phone = settings();
    run(&mut phone, "vars create UPDATE/X%20 pb a%2520b%20c\nmod cmd UP1 setvar FACT x%2Fy");
    assert_eq!(phone.variable("UPDATE/X%20").unwrap().expose(), "a%20b c");
    assert_eq!(phone.variable("FACT").unwrap().expose(), "x/y");
    assert_eq!(query(&phone), format!("{FACTS}&X%2520=a%2520b%20c"));
    let printed = Action::Print(Secret::new("UPDATE/X%20 pb a%2520b%20c"));
    assert_eq!(run(&mut phone, "vars read UPDATE/X%20\nvars read NONE"), [printed, Action::Print(Secret::default())]);
}

#[test]
fn placeholders_and_the_slash_at_the_end() {
    let mut phone = settings();
    let mut ask = |url: &str| {
        phone.run(
            &[
                Command::ConfigChange {
                    module: "UP1".into(),
                    options: vec![crate::core::protocol::script::Setting::new("/url", url)],
                },
                Command::ConfigActivate,
            ],
            Now::default(),
        );
        phone.update_url().expose().replace(FACTS, "FACTS")
    };
    assert_eq!(ask("https://h/#m/#h/#t?i=#i"), "https://h/00-90-33-41-a0-b1/IP112-41-a0-b1/IP112?i=192.0.2.17&FACTS");
    assert_eq!(ask("https://h/#x#"), "https://h/#x#?FACTS");
    assert_eq!(ask("https://h/dir/"), "https://h/dir/update-ip112.htm?FACTS");
}

const UPDATE: &str = "mod cmd UP0 prot https://h/fw/ ser 136044\nmod cmd UP0 boot https://h/b.bin ser 136044\niresetn\n\
                      vars create AFTER h 1\n";

#[test]
fn new_firmware_is_loaded_once_and_the_rest_runs_on_it() {
    let mut phone = settled();
    let actions = run(&mut phone, UPDATE);
    let firmware = LoadCommand::new("https://h/fw/ip112.bin", Final::Serial, "136044");
    let boot_code = LoadCommand::new("https://h/b.bin", Final::Serial, "136044");
    assert_eq!(
        actions,
        [
            Action::Load(Part::Firmware, firmware.clone()),
            Action::Load(Part::BootCode, boot_code.clone()),
            Action::Restart { when_idle: true }
        ]
    );
    assert_eq!(phone.variable("AFTER"), None);
    assert_eq!(phone.loaded(Part::Firmware, &firmware), []);
    assert_eq!(phone.loaded(Part::BootCode, &boot_code), []);
    assert_eq!(phone.machine.version(), "13r3 sr9 [13.6044/136044/300]");
    assert!(query(&phone).ends_with("&BOOT=136044&PROT=136044"), "{}", query(&phone));
    assert_eq!(run(&mut phone, "resetn"), [Action::Restart { when_idle: false }], "not yet restarted");
    phone.start();
    run(&mut phone, "");
    assert_eq!(run(&mut phone, UPDATE), []);
    assert!(phone.variable("AFTER").is_some());
}

#[test]
fn serials_are_compared_with_the_variable_or_else_the_running_build() {
    let mut phone = settled();
    assert_eq!(run(&mut phone, "mod cmd UP0 prot u reset 136012"), []);
    run(&mut phone, "vars create UPDATE/PROT h 7");
    let order = LoadCommand::new("u", Final::Restart, "136012");
    assert_eq!(run(&mut phone, "mod cmd UP0 prot u reset 136012"), [Action::Load(Part::Firmware, order.clone())]);
    assert_eq!(phone.loaded(Part::Firmware, &order), [Action::Restart { when_idle: false }]);
}

#[test]
fn check_runs_the_remaining_commands_once() {
    let mut phone = settled();
    let script = "mod cmd UP1 check ireset 9\nvars create A h 1\nnonsense\n";
    let report = Action::Report("nonsense".into());
    assert_eq!(run(&mut phone, script), [report, Action::Restart { when_idle: true }]);
    run(&mut phone, "vars del A");
    assert_eq!(run(&mut phone, script), []);
    assert_eq!(phone.variable("A"), None);
    // Stopped by a restart: the check stays open.
    run(&mut phone, "mod cmd UP1 check ser 10\nreset\n");
    assert_eq!(phone.variable("UPDATE/CHECK").unwrap().expose(), "9");
}

#[test]
fn times_stops_the_remaining_commands() {
    let ran = |phone: &mut Settings, options: &str, hour: Option<u8>, minutes_up: u32| {
        let commands = parse(&format!("vars del A\nmod cmd UP1 times {options}\nvars create A h 1"));
        phone.run(&commands, Now { hour, minutes_up });
        phone.variable("A").is_some()
    };
    let mut phone = settings();
    assert!(ran(&mut phone, "", None, 0));
    assert!(ran(&mut phone, "/allow 22,0", Some(0), 0));
    assert!(!ran(&mut phone, "/allow 22,0", Some(1), 0));
    assert!(!ran(&mut phone, "/allow 22,0", None, 0));
    assert!(!ran(&mut phone, "/initial 5", None, 4));
    assert!(ran(&mut phone, "/initial 5", None, 5));
    assert!(ran(&mut phone, "/allow 22 /initial 5", None, 5), "fresh from the factory");
    run(&mut phone, "config add UP1 /no-dhcp\nconfig write");
    assert!(!ran(&mut phone, "/allow 22 /initial 5", Some(12), 5));
    assert!(ran(&mut phone, "/allow 22 /initial 5", Some(22), 5));
}

#[test]
fn the_configuration_and_outputs_are_saved() {
    let mut phone = settings();
    run(&mut phone, "config change UP1 /no-dhcp /url a%20b\nconfig activate\nvars create X509/REQUEST pb 00ff");
    let last = Some((Final::Serial, "3".into()));
    let put = |body: &str| Action::Put { url: "u".into(), body: Secret::new(body), last: last.clone() };
    assert_eq!(run(&mut phone, "mod cmd UP0 scfg u ser 3"), [put("config change UP1 /no-dhcp /url a%20b\r\n")]);
    assert_eq!(phone.stored(last.as_ref()), []);
    assert_eq!(run(&mut phone, "mod cmd UP0 scfg u ser 3"), []);
    assert_eq!(
        run(&mut phone, "mod cmd UP0 scfg u ser 3 /always vars%20read%20X509/REQUEST"),
        [put("X509/REQUEST pb 00ff")]
    );
    let refused = run(&mut phone, "mod cmd UP0 scfg u ser 3 /always reset");
    assert_eq!(refused, [Action::Report("reset".into())]);
}

#[test]
fn the_state_survives_a_file() {
    let mut phone = settings();
    run(&mut phone, &Script::ask_for_code(true, true).then(Script::hand_over(URL)).to_string());
    phone.typed("402817739164");
    let text = serde_json::to_string(&phone).unwrap();
    assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), phone);
    assert!(!format!("{phone:?}").contains("402817739164"));
}

proptest::proptest! {
    #[test]
    fn no_script_causes_a_panic(text in proptest::prelude::any::<String>(), lines in "((config|vars|mod cmd UP[01]) [a-z]{3,8} [ -~\n]{0,20}\n){0,4}") {
        let mut phone = settings();
        run(&mut phone, &text);
        run(&mut phone, &lines);
        let _ = phone.update_url();
    }
}
