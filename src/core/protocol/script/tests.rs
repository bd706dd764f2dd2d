//! Scripts byte for byte, and round trips.

use proptest::prelude::*;

use super::*;
use crate::core::model::ids::Secret;

const URL: &str = "wss://ap.example.org/example.com/devices/sysclients";

#[test]
fn the_form_for_the_code() {
    assert_eq!(
        Script::ask_for_code(true, true).to_string(),
        "# enter code\r\nvars create UPDATE/PROVISIONING-CODE h prompt\r\nconfig add UP1 /no-dhcp\r\nconfig write\r\n\
         config activate\r\nmod cmd UP1 provision 1\r\n"
    );
    assert_eq!(
        Script::ask_for_code(true, false).to_string(),
        "# enter code\r\nvars create UPDATE/PROVISIONING-CODE h prompt\r\nmod cmd UP1 provision 1\r\n"
    );
    assert_eq!(Script::ask_for_code(false, false).to_string(), "# enter code\r\nmod cmd UP1 provision 1\r\n");
}

#[test]
fn handing_over_cleaning_up_and_waiting() {
    assert_eq!(
        Script::hand_over(URL).to_string(),
        "# ok\r\nconfig change SYSCLIENT /sysadmin wss%3A%2F%2Fap.example.org%2Fexample.com%2Fdevices%2Fsysclients\r\n\
         config write\r\nconfig activate\r\nmod cmd UP1 provision 0\r\n"
    );
    assert_eq!(
        Script::clean_up().to_string(),
        "config rem UP1 /provisioning\r\nconfig rem UP1 /provision\r\nvars del UPDATE/PROVISIONING-CODE\r\n\
         config write\r\nconfig activate\r\n"
    );
    assert_eq!(Script::try_later().to_string(), "# try later\r\n");
}

#[test]
fn firmware_orders() {
    let (firmware, boot_code) =
        ("https://ap.example.org/fw/136044/ip112.bin", "https://ap.example.org/fw/136044/boot112.bin");
    assert_eq!(
        Script::update(Some((firmware, "136044")), Some((boot_code, "136044"))).to_string(),
        "mod cmd UP0 prot https://ap.example.org/fw/136044/ip112.bin ser 136044\r\n\
         mod cmd UP0 boot https://ap.example.org/fw/136044/boot112.bin ser 136044\r\niresetn\r\n"
    );
    assert_eq!(Script::update(None, None).to_string(), "");
    let both = Script::update(None, Some(("b", "1"))).then(Script::try_later());
    assert_eq!(both.to_string(), "mod cmd UP0 boot b ser 1\r\niresetn\r\n# try later\r\n");
}

#[test]
fn no_value_breaks_out_of_its_line() {
    let hostile = "x y\r\nconfig write\u{2028}\tz";
    let script = Script(vec![
        Command::Comment(hostile.into()),
        Command::sysadmin(hostile),
        Command::vars_create(hostile, hostile, hostile),
        Command::Prot(LoadCommand::new(hostile, Final::Serial, hostile)),
        Command::Unknown(hostile.into()),
    ]);
    let text = script.to_string();
    assert_eq!(text.matches('\n').count(), 5, "{text}");
    let read = parse(&text);
    assert!(matches!(
        read[..4],
        [Command::Comment(_), Command::ConfigChange { .. }, Command::VarsCreate { .. }, Command::Prot(_)]
    ));
}

#[test]
fn all_commands_are_read() {
    let serial = |text: &str| -> Box<str> { text.into() };
    for (line, command) in [
        ("#", Command::Comment("".into())),
        ("  vars   del\tA/B ", Command::VarsDel { name: "A/B".into() }),
        ("vars read X509/REQUEST", Command::VarsRead { name: "X509/REQUEST".into() }),
        ("vars create A h", Command::VarsCreate { name: "A".into(), flags: "h".into(), value: Secret::default() }),
        ("config rem UP1 /provision", Command::ConfigRem { module: "UP1".into(), option: "/provision".into() }),
        (
            "config change UP1 /no-dhcp /url a%20b /poll 5",
            Command::ConfigChange {
                module: "UP1".into(),
                options: vec![Setting::flag("/no-dhcp"), Setting::new("/url", "a b"), Setting::new("/poll", "5")],
            },
        ),
        ("mod cmd UP0 scfg u", Command::Scfg { url: "u".into(), last: None, always: None }),
        (
            "mod cmd UP0 scfg u ser 7 /always vars%20read%20X509/REQUEST",
            Command::Scfg {
                url: "u".into(),
                last: Some((Final::Serial, serial("7"))),
                always: Some("vars%20read%20X509/REQUEST".into()),
            },
        ),
        ("mod cmd UP1 check iresetn 9", Command::Check { last: Final::RestartIdleIfNeeded, serial: serial("9") }),
        (
            "mod cmd UP1 times /allow 22,23,0,1 /initial 10",
            Command::Times { allow: Some(vec![22, 23, 0, 1]), initial: Some(10) },
        ),
        ("mod cmd UP1 times", Command::Times { allow: None, initial: None }),
        ("mod cmd UP1 setvar A b", Command::SetVar { name: "A".into(), value: Secret::new("b") }),
        ("resetn", Command::Finish(Final::RestartIfNeeded)),
    ] {
        assert_eq!(Command::parse(line), Some(command), "{line}");
    }
}

#[test]
fn unknown_lines_are_kept_unchanged() {
    for line in [
        "!vars create A h b",
        "vars",
        "vars del",
        "vars create A h b c",
        "config",
        "config change",
        "config write now",
        "config rem UP1",
        "mod cmd UP0 prot u never 1",
        "mod cmd UP0 prot u ser",
        "mod cmd UP0 scfg u ser",
        "mod cmd UP1 provision soon",
        "mod cmd UP1 times /allow 24",
        "mod cmd UP1 times /allow",
        "mod cmd UP2 check ser 1",
        "Reset",
    ] {
        assert_eq!(Command::parse(line), Some(Command::Unknown(line.into())), "{line}");
    }
    assert_eq!(parse("\r\n\n  \n# a\nreset\r\n").len(), 2);
}

#[test]
fn file_names() {
    assert_eq!((files::firmware("IP112").as_str(), files::boot_code("IP112").as_str()), ("ip112.bin", "boot112.bin"));
    assert_eq!((files::firmware("IP29-4").as_str(), files::boot_code("IP29-4").as_str()), ("ip29.bin", "boot29.bin"));
    assert_eq!((files::firmware("Dect1").as_str(), files::boot_code("Dect1").as_str()), ("dect1.bin", "bootdect1.bin"));
    assert_eq!(files::update_script("IP112"), "update-ip112.htm");
}

#[test]
fn a_command_path_leads_back_to_its_line() {
    let line = Command::sysadmin("wss://h/d/i/sysclients?token=a%23b").to_string();
    let path = encode::command_path(&line);
    assert!(
        path.starts_with("/!config%20change%20SYSCLIENT%20%2Fsysadmin%20wss%253A%252F") && path.contains("%252523")
    );
    assert_eq!(encode::line_of_path(&path), Some(line));
    assert_eq!(encode::line_of_path("/config%20write"), None);
    assert_eq!(encode::line_of_path("/!%2"), None);
}

fn any_command() -> impl Strategy<Value = Command> {
    let word = || "[A-Za-z%._~-][A-Za-z0-9/%._~-]{0,8}".prop_map(Box::<str>::from);
    let secret = || "[A-Za-z0-9%._~-]{1,8}".prop_map(|text: String| Secret::new(text));
    let last = || prop::sample::select(vec![Final::RestartIdle, Final::Restart, Final::RestartIfNeeded, Final::Serial]);
    let option = || {
        ("/[a-z-]{1,8}", prop::option::of(secret()))
            .prop_map(|(option, value): (String, _)| Setting { option: option.into(), value })
    };
    let order = move || (word(), last(), word()).prop_map(|(url, last, serial)| LoadCommand { url, last, serial });
    prop_oneof![
        "[a-z ]{0,8}".prop_map(|text: String| Command::Comment(text.trim().into())),
        (word(), word(), secret()).prop_map(|(name, flags, value)| Command::VarsCreate { name, flags, value }),
        word().prop_map(|name| Command::VarsDel { name }),
        word().prop_map(|name| Command::VarsRead { name }),
        (word(), prop::collection::vec(option(), 0..4))
            .prop_map(|(module, options)| Command::ConfigChange { module, options }),
        (word(), prop::collection::vec(option(), 0..4))
            .prop_map(|(module, options)| Command::ConfigAdd { module, options }),
        (word(), word()).prop_map(|(module, option)| Command::ConfigRem { module, option }),
        Just(Command::ConfigWrite),
        Just(Command::ConfigActivate),
        order().prop_map(Command::Prot),
        order().prop_map(Command::Boot),
        (word(), last(), word(), prop::option::of(word())).prop_map(|(url, last, serial, always)| Command::Scfg {
            url,
            last: Some((last, serial)),
            always
        }),
        (last(), word()).prop_map(|(last, serial)| Command::Check { last, serial }),
        (prop::option::of(prop::collection::vec(0_u8..24, 1..4)), any::<Option<u32>>())
            .prop_map(|(allow, initial)| Command::Times { allow, initial }),
        any::<u32>().prop_map(|minutes| Command::Provision { minutes }),
        (word(), secret()).prop_map(|(name, value)| Command::SetVar { name, value }),
        last().prop_map(Command::Finish),
    ]
}

proptest! {
    #[test]
    fn written_scripts_are_read_back(commands in prop::collection::vec(any_command(), 0..8)) {
        let script = Script(commands);
        prop_assert_eq!(parse(&script.to_string()), script.0);
    }

    #[test]
    fn any_text_is_read_and_written_again(text in any::<String>(), line in "(vars|config|mod cmd UP[01]) [ -~]{0,40}") {
        for text in [text, line] {
            let commands = parse(&text);
            let written = Script(commands).to_string();
            prop_assert_eq!(Script(parse(&written)).to_string(), written);
        }
    }
}
