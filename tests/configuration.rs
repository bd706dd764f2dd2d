//! The delivered configuration, its overrides, and the message for every mistake.

// The exemption in clippy.toml covers functions marked as tests, not their helpers.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use provbroker::config::{self, Config, Overrides, Role, StoreUrl};

const DELIVERED: &str = include_str!("../config/provbroker.toml");

fn with_environment(pairs: &[(&str, &str)]) -> Result<Config, config::ConfigError> {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    config::assemble(None, &pairs, &Overrides::default())
}

/// A configuration without the example domain, which has the delivered password.
fn with_listen(listen: &str, environment: &[(&str, &str)]) -> Result<Config, config::ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.toml");
    std::fs::write(&file, "").unwrap();
    assemble(Some(&file), listen, environment)
}

fn assemble(file: Option<&Path>, listen: &str, environment: &[(&str, &str)]) -> Result<Config, config::ConfigError> {
    let pairs: Vec<_> = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    config::assemble(file, &pairs, &Overrides { listen: Some(listen.into()), ..Overrides::default() })
}

fn complaint(text: &str) -> String {
    let line = match config::parse(text, "f.toml") {
        Ok(_) => panic!("was accepted: {text}"),
        Err(error) => error.to_string(),
    };
    assert!(!line.contains('\n'), "one line: {line}");
    line
}

#[test]
fn the_delivered_file_is_the_defaults() {
    assert_eq!(config::parse(DELIVERED, "delivered").unwrap(), Config::default());
}

#[test]
fn the_delivered_file_has_every_key_and_a_comment_above_each() {
    let all = toml::Table::try_from(Config::default()).unwrap();
    let delivered: toml::Table = toml::from_str(DELIVERED).unwrap();
    assert_eq!(key_names("", &delivered), key_names("", &all));

    let mut above = "";
    for line in DELIVERED.lines() {
        if line.contains('=') && !line.starts_with('#') {
            assert!(above.starts_with("# "), "no comment above: {line}");
        }
        above = line;
    }
}

fn key_names(prefix: &str, table: &toml::Table) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (key, value) in table {
        let name = format!("{prefix}.{key}");
        match value {
            toml::Value::Table(inner) => names.append(&mut key_names(&name, inner)),
            toml::Value::Array(items) => {
                for item in items.iter().filter_map(toml::Value::as_table) {
                    names.append(&mut key_names(&name, item));
                }
                names.insert(name);
            }
            _ => drop(names.insert(name)),
        }
    }
    names
}

#[test]
fn a_file_without_domains_makes_none() {
    assert!(config::parse("", "empty").unwrap().domains.is_empty());
}

#[test]
fn the_environment_overrides_the_file() {
    let config = with_environment(&[
        ("PROVBROKER__SERVER__LISTEN", "127.0.0.1:9999"),
        ("PROVBROKER__SERVER__ROLES", "devices"),
        ("PROVBROKER__DIRECTORY__URL", "http://127.0.0.1:7000/api/v1/"),
        ("PROVBROKER__DIRECTORY__ALLOW_WS", "true"),
        ("PROVBROKER__INSTANCE__PASSWORD", "12345"),
        ("PROVBROKER__CODES__TTL", "2s"),
        ("PROVBROKER__CODES__MAX_OPEN", "7"),
        ("PROVBROKER__STORE__URL", "redis://:hush@h:6379/1"),
        ("PROVBROKER__USERS__FILE__PHONES", "/srv/phones.csv"),
        ("PATH", "not ours"),
    ])
    .unwrap();
    assert_eq!(config.server.listen, "127.0.0.1:9999".parse().unwrap());
    assert_eq!(config.server.public_url, "http://127.0.0.1:9999", "it named the old listener, so it goes along");
    assert_eq!(config.server.roles, BTreeSet::from([Role::Devices]));
    assert_eq!(config.directory.url, "http://127.0.0.1:7000/api/v1");
    assert!(config.directory.allow_ws);
    assert_eq!(config.instance.password.expose(), "12345");
    assert_eq!((config.codes.ttl, config.codes.max_open), (Duration::from_secs(2), 7));
    assert_eq!(config.store.url.describe(), "redis://h:6379/1");
    assert_eq!(config.users.file.phones, Path::new("/srv/phones.csv"));
}

#[test]
fn a_variable_that_is_wrong_is_named() {
    for (name, value, hint) in [
        ("PROVBROKER__SERVER__LISTN", "x", "no such key"),
        ("PROVBROKER__SERVER", "x", "no such key"),
        ("PROVBROKER__USERS__FILE__PHONE", "x", "no such key"),
        ("PROVBROKER__USERS__FILE", "x", "no such key"),
        ("PROVBROKER__DOMAINS__NAME", "x", "put them into the file"),
        ("PROVBROKER__SERVER__WORKERS", "many", "a whole number"),
        ("PROVBROKER__SERVER__LISTEN", "nowhere", "server.listen"),
        ("PROVBROKER__SERVER__ROLES", "directory,butler", "butler"),
        ("PROVBROKER__CODES__TTL", "ten", "duration"),
        ("PROVBROKER__CODES__TTL", "10ms", "codes.ttl is 10ms"),
        ("PROVBROKER__STORE__URL", "mysql://u:hush@h", "embedded:PATH"),
    ] {
        let line = with_environment(&[(name, value)]).expect_err(name).to_string();
        assert!(line.starts_with(&format!("{name}: ")) && line.contains(hint), "{line}");
        assert!(!line.contains('\n') && !line.contains("hush"), "{line}");
    }
}

#[test]
fn an_error_in_the_file_is_located_and_named() {
    let line = complaint("[server]\nlisten = \"127.0.0.1:1\"\nlistne = \"x\"\n");
    assert!(line.starts_with("f.toml:3:1: server.listne: unknown field"), "{line}");
    let line = complaint("[codes]\nttl = 600\n");
    assert!(line.starts_with("f.toml:2:7: codes.ttl: "), "{line}");
    let line = complaint("[sever]\n");
    assert!(line.starts_with("f.toml:1:2: sever: unknown field"), "{line}");
    let line = complaint("[server]\nroles = [\n  \"directory\",\n  \"butler\",\n]\n");
    assert!(line.starts_with("f.toml:4:3: server.roles: "), "{line}");
    let line = complaint("[server\n");
    assert!(line.starts_with("f.toml:1:8: "), "{line}");
    let line = complaint("[[domains]]\nname = \"a b\"\npassword = \"x\"\n");
    assert!(line.starts_with("f.toml:2:8: domains.name: not a valid domain name"), "{line}");
    let line = complaint("[instance]\npassword = 4711\n");
    assert!(line.contains("instance.password: must be text in quotes") && !line.contains("4711"), "{line}");
}

#[test]
fn invalid_values_are_refused() {
    let long = "x".repeat(65);
    for (text, key) in [
        ("[server]\nroles = []", "server.roles is empty"),
        ("[server]\nroles = [\"users\"]", "users.devices is empty"),
        ("[users]\ndevices = \"https://h/d/i\"", "users.devices is not an address"),
        ("[users]\nphone_apps = []", "users.phone_apps must name"),
        ("[users]\ntenants = [{ name = \"a\", password = \"\" }]", "users.tenants[a].password is empty"),
        (
            "[users]\ntenants = [{ name = \"a\", password = \"p\" }, { name = \"A\", password = \"p\" }]",
            "users.tenants has a twice",
        ),
        ("[users]\norder_timeout = \"1h\"", "users.order_timeout is 1h"),
        ("[users]\norders_at_once = 0", "users.orders_at_once is 0"),
        ("[users]\nbackend = \"webhook\"", "users.webhook.url is not an address"),
        (
            "[users]\nbackend = \"webhook\"\n[users.webhook]\nurl = \"https://h\"\nsecret = \"short\"",
            "users.webhook.secret",
        ),
        ("[server]\npublic_url = \"ftp://x\"", "server.public_url must begin"),
        ("[server]\npublic_url = \"here\"", "server.public_url is not an address"),
        ("[server]\npublic_url = \"https://u@h\"", "server.public_url must have no user"),
        ("[server]\npublic_url = \"https://h/base\"", "server.public_url has a path"),
        ("[server]\nops_listen = \"127.0.0.1:8080\"", "server.ops_listen is the public listener"),
        ("[server]\nroles = [\"devices\"]", "directory.url is empty"),
        ("[server]\nroles = [\"directory\"]", "directory.accept is empty"),
        ("[directory]\naccept = [\"abc\"]", "directory.accept takes SHA-256"),
        ("[directory]\ncredential = \"a b\"", "directory.credential must be printable"),
        ("[codes]\nttl = \"999ms\"", "codes.ttl is 999ms"),
        ("[codes]\nrollout_ttl = \"31d\"", "codes.rollout_ttl is"),
        ("[pages]\ndevice_listen = \"127.0.0.1:8080\"", "pages.device_listen is another listener"),
        ("[pages]\ndevice_listen = \"0.0.0.0:8443\"", "pages.device_listen is not loopback"),
        ("[server]\nplain = true\n[pages]\ndevice_listen = \"0.0.0.0:8443\"", "pages.device_url is empty"),
        ("[pages]\ndevice_url = \"http://127.0.0.1:8080/\"", "pages.device_url is server.public_url"),
        ("[pages]\ndevice_url = \"https://h/x\"", "pages.device_url has a path"),
        ("[server]\npublic_url = \"https://h\"\n[pages]\ndevice_url = \"http://h:81\"", "pages.device_url is http"),
        ("[pages]\ndevice_open = \"2h\"", "pages.device_open is 2h"),
        ("[devices]\nping_every = \"90s\"", "devices.dead_after must be longer"),
        ("[devices]\nsend_window = 10", "devices.send_window must be"),
        ("[limits]\nmax_tracked = 0", "limits.max_tracked is 0"),
        ("[limits]\nwindow = \"0s\"", "limits.window is 0s"),
        ("[log]\nfilter = \"info,=[\"", "log.filter is not"),
        ("[instance]\nname = \"cafe\"", "instance.name has hex digits only"),
        ("[instance]\nname = \"a/b\"", "instance.name must be"),
        ("[instance]\ndomain = \"api\"", "instance.domain is the beginning"),
        ("[instance]\npassword = \"\"", "instance.password is empty"),
        ("[[domains]]\nname = \"a\"\npassword = \"\"", "domains[a].password is empty"),
        (
            "[[domains]]\nname = \"a\"\npassword = \"p\"\n[[domains]]\nname = \"A\"\npassword = \"p\"",
            "domains has a twice",
        ),
        (&format!("[instance]\nname = \"{long}\""), "instance.name must be"),
        ("[pages]\nquestions_per_person = 0", "pages.questions_per_person is 0"),
        ("[pages]\nsession_idle = \"1s\"", "pages.session_idle is 1s"),
        ("[pages]\nlocal_accounts = false", "pages.local_accounts is false"),
        ("[[accounts]]\nname = \"Oidc:a\"\npassword = \"p\"\nrole = \"operator\"", "accounts[oidc:a].name begins with"),
        ("[[accounts]]\nname = \"a\"\npassword = \"\"\nrole = \"operator\"", "accounts[a].password is empty"),
        ("[[accounts]]\nname = \"a\"\npassword = \"p\"\nrole = \"person\"", "accounts[a].role does not fit"),
        (
            "[[accounts]]\nname = \"a\"\npassword = \"p\"\nrole = \"operator\"\n[[accounts]]\nname = \"A\"\npassword = \"p\"\nrole = \"operator\"",
            "accounts has a twice",
        ),
    ] {
        let line = complaint(text);
        assert!(line.starts_with(&format!("f.toml: {key}")), "{text}\n→ {line}");
    }
}

#[test]
fn the_delivered_password_is_accepted_on_loopback_only() {
    for listen in ["127.0.0.1:80", "127.8.8.8:80", "[::1]:80"] {
        assert!(with_listen(listen, &[]).is_ok(), "{listen}");
    }
    for listen in ["0.0.0.0:80", "192.0.2.1:80", "[::]:80"] {
        let line = with_listen(listen, &[]).expect_err(listen).to_string();
        assert!(line.starts_with("--listen: ") || line.contains("instance.password"), "{line}");
        assert!(with_listen(listen, &OPEN).is_ok(), "{listen}");
        let line = assemble(None, listen, &OPEN).expect_err(listen).to_string();
        assert!(line.contains("domains[example.com].password is the delivered one"), "{line}");
    }
}

/// Whatever lets others in: the line names the key with the delivered secret, the setting, and what to do.
#[test]
fn delivered_secrets_stop_the_start_whatever_lets_others_in() {
    let own = "[instance]\npassword = \"my own\"\n";
    let domain = |secrets: &str| format!("[[domains]]\nname = \"a.example\"\n{secrets}\n");
    for way_in in [
        "public_url = \"https://broker.example\"",
        "public_url = \"http://192.0.2.1:8080\"",
        "trusted_proxies = [\"127.0.0.1\"]",
        "hosts = [\"broker.example\"]",
        "ops_listen = \"0.0.0.0:9090\"",
        "listen = \"0.0.0.0:8080\"\nplain = true",
    ] {
        let server = format!("[server]\n{way_in}\n");
        assert!(config::parse(&format!("{server}{own}{}", domain("password = \"own\"")), "f.toml").is_ok(), "{way_in}");
        for (rest, key) in [
            (String::new(), "instance.password"),
            (format!("{own}{}", domain("password = \"domain-secret\"")), "domains[a.example].password"),
            (format!("{own}{}", domain("password = \"change-me\"")), "domains[a.example].password"),
            (
                format!("{own}{}", domain("password = \"x\"\nauto_token = \"change-me\"")),
                "domains[a.example].auto_token",
            ),
            (format!("{own}[security]\nmaster_key = \"change-me-too-on-all-nodes\"\n"), "security.master_key"),
            ("[instance]\npassword = \"change-me-on-all-nodes\"\n".to_owned(), "instance.password"),
        ] {
            let line = complaint(&format!("{server}{rest}"));
            assert!(line.starts_with(&format!("f.toml: {key} is the delivered one")), "{way_in}: {line}");
            assert!(line.ends_with("; set your own"), "{line}");
        }
    }
    for alone in
        ["public_url = \"http://localhost:8080\"", "hosts = [\"localhost\", \"[::1]\"]", "listen = \"[::1]:8080\""]
    {
        let text = format!("[server]\n{alone}\n{}", domain("password = \"domain-secret\""));
        assert!(config::parse(&text, "f.toml").is_ok(), "{alone}");
    }
}

#[test]
fn proxies_and_hosts() {
    let good = "[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"192.0.2.7\", \"2001:db8::/32\"]\nproxy_protocol = \"require\"\n\
                hosts = [\"inner.example\", \"192.0.2.9\", \"[2001:db8::9]\"]\n[instance]\npassword = \"my own\"\n";
    let config = config::parse(good, "f.toml").unwrap();
    assert!(config.trusted_proxies().trusts("192.0.2.7".parse().unwrap()));
    assert!(!config.trusted_proxies().trusts("192.0.2.8".parse().unwrap()));
    assert!(config.hosts().answer_to("inner.example:8080") && config.hosts().answer_to("127.0.0.1:8080"));
    for (text, key) in [
        (
            "trusted_proxies = [\"10.0.0.0/8\", \"10.0.0.0/33\"]",
            "server.trusted_proxies has `10.0.0.0/33`, which is neither",
        ),
        ("trusted_proxies = [\"proxy.example\"]", "server.trusted_proxies has `proxy.example`"),
        ("trusted_proxies = [\"\"]", "server.trusted_proxies has ``"),
        ("proxy_protocol = \"require\"", "server.proxy_protocol is \"require\", but server.trusted_proxies is empty"),
        ("hosts = [\"https://broker.example\"]", "server.hosts has `https://broker.example`, which is no host"),
        ("hosts = [\"broker.example:443\"]", "server.hosts has `broker.example:443`"),
    ] {
        let line = complaint(&format!("[server]\n{text}\n"));
        assert!(line.starts_with(&format!("f.toml: {key}")), "{text}\n→ {line}");
    }
    let line = complaint("[server]\nproxy_protocol = \"maybe\"\n");
    assert!(line.starts_with("f.toml:2:18: server.proxy_protocol: "), "{line}");
    let warned = |text: &str| config::parse(text, "f.toml").unwrap().warnings().join("\n");
    assert!(warned("[server]\nproxy_protocol = \"accept\"\n").contains("no header is read"));
    let everybody = "[server]\ntrusted_proxies = [\"0.0.0.0/0\"]\n[instance]\npassword = \"my own\"\n";
    assert!(warned(everybody).contains("names everybody"));
    let listed = [("PROVBROKER__SERVER__TRUSTED_PROXIES", "10.0.0.0/8,192.0.2.7"), OPEN[0]];
    assert_eq!(with_listen("127.0.0.1:80", &listed).unwrap().server.trusted_proxies, ["10.0.0.0/8", "192.0.2.7"]);
}

/// The settings for listening on any address with TLS in front.
const OPEN: [(&str, &str); 2] = [("PROVBROKER__INSTANCE__PASSWORD", "my own"), ("PROVBROKER__SERVER__PLAIN", "true")];

#[test]
fn plain_http_leaves_the_loopback_on_request_only() {
    let password = OPEN[0];
    for listen in ["0.0.0.0:80", "192.0.2.1:80", "[::]:80"] {
        let line = with_listen(listen, &[password]).expect_err(listen).to_string();
        assert!(line.starts_with("--listen: server.listen is ") && line.contains("server.plain = true"), "{line}");
    }
    let tls = [("PROVBROKER__TLS__CERTIFICATE", "chain.pem"), ("PROVBROKER__TLS__KEY", "key.pem")];
    let with_tls = |listen, more: &[_]| with_listen(listen, &[&[password], &tls[..], more].concat());
    let named = ("PROVBROKER__SERVER__PUBLIC_URL", "https://ap.example.org");
    assert!(with_tls("0.0.0.0:443", &[named]).unwrap().warnings().iter().all(|line| !line.contains("http")));
    let line = with_tls("0.0.0.0:443", &[]).expect_err("nobody has said what phones are told").to_string();
    assert!(line.contains("server.public_url is http://127.0.0.1:8080, but the listener speaks TLS"), "{line}");
    let line = with_tls("127.0.0.1:443", &[OPEN[1]]).expect_err("both").to_string();
    assert!(line.starts_with("PROVBROKER__SERVER__PLAIN: server.plain asks for plain HTTP"), "{line}");
}

#[test]
fn phones_get_wss_with_a_certificate() {
    let text = "[tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n";
    let config = config::parse(text, "f.toml").unwrap();
    assert_eq!(config.server.public_url, "https://127.0.0.1:8080");
    assert_eq!(config.sysclients_url(), "wss://127.0.0.1:8080/example.com/devices/sysclients");
    let mut moved = config.clone();
    moved.move_listener("127.0.0.1:9".parse().unwrap());
    assert_eq!(moved.server.public_url, "https://127.0.0.1:9");
    let line = complaint("[tls]\ncertificate = \"chain.pem\"\n");
    assert!(line.starts_with("f.toml: tls.key is empty"), "{line}");
    let line = complaint("[tls]\nkey = \"key.pem\"\n");
    assert!(line.starts_with("f.toml: tls.certificate is empty"), "{line}");
    let line = complaint("[tls]\nmin_version = \"1.1\"\n");
    assert!(line.starts_with("f.toml:2:15: tls.min_version: "), "{line}");
}

#[test]
fn provisional_settings_are_warned_of() {
    assert_eq!(Config::default().warnings(), Vec::<String>::new());
    let mut open = with_listen("0.0.0.0:80", &OPEN).unwrap();
    open.accounts = Config::default().accounts;
    // Beside an embedded store there is a key file.
    assert!(!open.warnings().join("\n").contains("master_key"));
    open.store.url = "redis://127.0.0.1:6379".parse().unwrap();
    let lines = open.warnings().join("\n");
    for part in ["this machine only", "is http", "accounts with the delivered", "master_key"] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
}

/// Keys of the version before, with values that were valid and with others.
#[test]
fn keys_without_a_meaning_are_warned_of_and_do_not_stop_the_start() {
    let keys = [
        "limits.device_digests",
        "limits.device_codes",
        "limits.address",
        "limits.logins",
        "limits.login_pause",
        "limits.init_mac",
        "limits.init_address",
        "limits.init_per_minute",
        "limits.init_delay",
        "pages.attempts",
    ];
    let warned = |config: &Config| -> Vec<String> {
        config
            .warnings()
            .into_iter()
            .filter_map(|w| Some(w.strip_suffix(" has no meaning any more; remove it")?.into()))
            .collect()
    };
    for value in ["60", "0", "\"2s\"", "[]", "{ a = 1 }", "true", "\"text\""] {
        for key in keys {
            let (section, name) = key.split_once('.').unwrap();
            let config = config::parse(&format!("[{section}]\n{name} = {value}\n"), "f").unwrap();
            assert_eq!(warned(&config), [key], "{value}");
        }
    }
    let variables: Vec<_> = keys
        .iter()
        .map(|key| (format!("PROVBROKER__{}", key.replace('.', "__").to_uppercase()), "1m".to_owned()))
        .collect();
    let of_variables = config::assemble(None, &variables, &Overrides::default()).unwrap();
    assert_eq!(warned(&of_variables), keys);
    // The file has one and a variable another one.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.toml");
    std::fs::write(&file, "[limits]\nlogins = 5\nwindow = \"3m\"\n").unwrap();
    let more = [variables[8].clone(), ("PROVBROKER__LIMITS__MAX_TRACKED".to_owned(), "7".to_owned())];
    let both = config::assemble(Some(&file), &more, &Overrides::default()).unwrap();
    assert_eq!(warned(&both), ["limits.logins", "limits.init_delay"]);
    assert_eq!((both.limits.window, both.limits.max_tracked), (Duration::from_secs(180), 7));
    assert!(warned(&Config::default()).is_empty());

    let line = complaint("[limits]\nlogins = 5\nlogin = 5\n");
    assert!(line.starts_with("f.toml:3:1: limits.login: unknown field"), "{line}");
    let line = with_environment(&[("PROVBROKER__LIMITS__LOGIN", "5")]).unwrap_err().to_string();
    assert!(line.contains("no such key"), "{line}");
    let line = with_environment(&[("PROVBROKER__LIMITS__LOGINS__X", "5")]).unwrap_err().to_string();
    assert!(line.contains("no such key"), "{line}");
}

/// The program says it at the check and at the start.
#[test]
fn the_program_warns_of_keys_without_a_meaning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.toml");
    std::fs::write(&file, "[limits]\ninit_delay = \"2s\"\n").unwrap();
    let (code, out, err) = run(&["check-config", file.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("warning: limits.init_delay has no meaning any more; remove it"), "{out}");
}

#[test]
fn the_command_line_overrides_everything() {
    let overrides =
        Overrides { store: Some("embedded:/x/y.redb".into()), listen: Some("127.0.0.1:1".into()), ops_listen: None };
    let environment = [("PROVBROKER__SERVER__LISTEN".to_owned(), "127.0.0.1:2".to_owned())];
    let config = config::assemble(None, &environment, &overrides).unwrap();
    assert_eq!(config.store.url, StoreUrl::Embedded("/x/y.redb".into()));
    assert_eq!(config.server.public_url, "http://127.0.0.1:1");

    let wrong = Overrides { ops_listen: Some("x".into()), ..Overrides::default() };
    let line = config::assemble(None, &[], &wrong).unwrap_err().to_string();
    assert!(line.starts_with("--ops-listen: "), "{line}");
}

#[test]
fn a_named_file_must_be_there() {
    let line = config::load(Some(Path::new("/no/such.toml")), &Overrides::default()).unwrap_err().to_string();
    assert!(line.starts_with("/no/such.toml: cannot be read"), "{line}");
}

#[test]
fn addresses_follow_from_the_public_one() {
    let text = "[server]\npublic_url = \"https://ap.example.org:8443/\"\n[instance]\ndomain = \"bücher.example\"\npassword = \"my own\"\n";
    let config = config::parse(text, "f").unwrap();
    assert_eq!(config.sysclients_url(), "wss://ap.example.org:8443/b%C3%BCcher.example/devices/sysclients");
    assert_eq!(config.instance_path(), "/b%C3%BCcher.example/devices");
    assert_eq!(Config::default().sysclients_url(), "ws://127.0.0.1:8080/example.com/devices/sysclients");

    let mut moved = Config::default();
    moved.server.listen = "127.0.0.1:0".parse().unwrap();
    moved.server.public_url = "http://127.0.0.1:0".into();
    moved.move_listener("127.0.0.1:4321".parse().unwrap());
    assert_eq!(moved.server.public_url, "http://127.0.0.1:4321");
    let mut proxied = config;
    proxied.move_listener("127.0.0.1:4321".parse().unwrap());
    assert_eq!(proxied.server.public_url, "https://ap.example.org:8443");
}

#[test]
fn the_own_credential_is_accepted_by_the_own_directory() {
    let config = config::parse("[directory]\ncredential = \"abc\"\n", "f").unwrap();
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(config.accepted_credentials(), [hash]);
    assert!(Config::default().accepted_credentials().is_empty());
}

#[test]
fn neither_debug_nor_summary_shows_a_secret() {
    let text = DELIVERED
        .replace("embedded:data/provbroker.redb", "redis://user:hush@h:6379/0?password=hush")
        .replace("domain-secret", "hush")
        .replace("change-me", "hush")
        .replace("_token = \"\"", "_token = \"hush\"")
        .replace("client_secret = \"\"", "client_secret = \"hush\"")
        .replace("credential = \"\"", "credential = \"hush\"")
        .replace("master_key = \"\"", "master_key = \"hush\"");
    let config = config::parse(&text, "f").unwrap();
    assert!(config.summary().contains("store redis://h:6379/0;"), "{}", config.summary());
    assert!(!format!("{config:?}{}", config.summary()).contains("hush"));
}

// The program is built for this test.
#[allow(clippy::expect_used)]
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_provbroker"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PROVBROKER__")) {
        command.env_remove(name);
    }
    let output = command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_program_says_whether_a_file_is_right() {
    let (code, out, err) = run(&["check-config", "config/provbroker.toml"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("ok: ") && !out.contains("change-me") && !out.contains("domain-secret"), "{out}");

    let (code, out, err) = run(&["check-config", "Cargo.toml"]);
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(2), "", 1), "{err}");
    assert!(err.starts_with("provbroker: Cargo.toml:") && err.contains(": unknown field"), "{err}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.toml");
    std::fs::write(&file, "[tls]\ncertificate = \"no/such.pem\"\nkey = \"Cargo.toml\"\n").unwrap();
    let (code, _, err) = run(&["check-config", file.to_str().unwrap()]);
    assert_eq!((code, err.lines().count()), (Some(2), 1), "{err}");
    assert!(err.contains("tls.certificate: no/such.pem cannot be read"), "{err}");

    let (code, _, err) = run(&["serve", "--config", "no/such.toml"]);
    assert_eq!((code, err.lines().count()), (Some(2), 1), "{err}");
    let (code, _, err) = run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!((code, err.lines().count()), (Some(2), 1), "{err}");
    assert_eq!(run(&["serve", "--bogus"]).0, Some(2));
}
