//! The real program against a broker over real sockets.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::broker::{Broker, CATEGORY, DOMAIN, INSTANCE_PASSWORD, Keep, OTHER, OTHER_PASSWORD, PASSWORD, run};
use crate::support::peer::{Device, identify, until};
use crate::support::secrets;

const PHONE: &str = "0090334100e1";

/// Result of a command.
#[derive(Debug)]
struct Done {
    code: i32,
    out: String,
    err: String,
}

/// Runs the program.
struct Shell {
    url: String,
    dir: TempDir,
    domain: Option<&'static str>,
    password: Option<&'static str>,
}

impl Shell {
    fn at(url: String) -> Self {
        Self { url, dir: tempfile::tempdir().unwrap(), domain: None, password: Some(INSTANCE_PASSWORD) }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provbroker"));
        command.arg("ctl").args(arguments).current_dir(self.dir.path());
        command.env_clear().env("PROVBROKER_URL", &self.url);
        command.envs(self.domain.map(|domain| ("PROVBROKER_DOMAIN", domain)));
        command.envs(self.password.map(|password| ("PROVBROKER_PASSWORD", password)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that does not read its input may have ended.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Done { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn run(&self, arguments: &[&str]) -> Done {
        self.run_with(arguments, "")
    }

    /// Runs a command that has to succeed; returns its output.
    fn done(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!(done.code, 0, "{arguments:?}: {done:?}");
        done.out
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let out = self.done(&[arguments, &["--json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Runs a command that has to fail; returns its error line.
    fn refused(&self, code: i32, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!((done.code, done.out.as_str()), (code, ""), "{arguments:?}: {done:?}");
        assert_eq!(done.err.lines().count(), 1, "{done:?}");
        done.err
    }
}

fn with_broker(test: impl FnOnce(&Shell)) {
    let keep = Keep::embedded();
    let broker = Broker::on(&keep, |_| {});
    test(&Shell::at(format!("http://{}", broker.addr)));
}

/// A command for a domain.
fn about<'a>(domain: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    [&["--in", domain], arguments].concat()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_tenant_is_made_and_gets_codes() {
    with_broker(|shell| {
        secrets::note("password-of-the-new-domain");
        let password = shell.file("new", "password-of-the-new-domain\n");
        let made = shell.done(&["domains", "create", "new.example", "--new-password-file", text(&password)]);
        assert!(made.contains("name                  new.example\n"), "{made}");

        let category = shell.json(&about("new.example", &["categories", "create", "Third floor"]));
        assert_eq!(category["provisioning"], true);
        shell.done(&about("new.example", &["codes", "issue", "--category", "Third floor", "--sip", "anna"]));
        let code = shell
            .json(&about("new.example", &["codes", "issue", "--category", &category["id"].to_string(), "--rollout"]));
        let code = code["code"].as_str().unwrap().to_owned();

        let table = shell.done(&about("new.example", &["codes", "list"]));
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        assert!(lines[0].starts_with("code          category     sip   rollout  administrative  issued"), "{table}");
        assert!(lines[1].starts_with(&format!("{code}  Third floor  -     yes      yes             20")), "{table}");
        assert!(lines[2].contains("  anna  no "), "{table}");
        let list = shell.json(&about("new.example", &["codes", "list", "--state", "open"]));
        assert_eq!(list.as_array().unwrap().len(), 2);
        assert_eq!(list[0]["code"], code.as_str());
        assert_eq!(shell.json(&about("new.example", &["codes", "list", "--limit", "1"])).as_array().unwrap().len(), 1);
        assert_eq!(shell.json(&about("new.example", &["codes", "list", "--state", "used"])), Value::Array(Vec::new()));

        let story = shell.done(&about("new.example", &["codes", "timeline", &code]));
        assert!(story.contains("issued") && story.contains("reason  code-not-used\n"), "{story}");
        assert_eq!(shell.done(&about("new.example", &["codes", "revoke", &code])), "");
        assert!(shell.refused(1, &about("new.example", &["codes", "get", &code])).contains("(404)"));
        assert!(shell.done(&about("new.example", &["export", "codes"])).starts_with("code,category,sip,"));

        // With its own password it needs no --in.
        let own = Shell { domain: Some("new.example"), password: None, ..Shell::at(shell.url.clone()) };
        let mine = own.json(&["categories", "list", "--password-file", text(&password)]);
        assert_eq!(mine[0]["name"], "Third floor");
    });
}

#[test]
fn a_list_of_users_goes_in_and_comes_back_page_by_page() {
    with_broker(|shell| {
        use std::fmt::Write as _;
        let mut users = String::from("sip,name\n");
        (0..1203).for_each(|n| writeln!(users, "user-{n},User {n}").unwrap());
        let create = ["--in", DOMAIN, "rollouts", "create", "-", "--name", "All", "--category", CATEGORY];
        let done = shell.run_with(&create, &users);
        assert_eq!(done.code, 0, "{}", done.err);
        assert_eq!(done.out.lines().count(), 1204);
        let id = done.err.trim().strip_prefix("provbroker: roll-out ").unwrap();

        let rows = shell.json(&["--in", DOMAIN, "rollouts", "rows", id]);
        let rows = rows.as_array().unwrap();
        assert_eq!((rows.len(), &rows[1202]["sip"]), (1203, &Value::from("user-1202")));
        assert_eq!(shell.done(&["--in", DOMAIN, "rollouts", "rows", id]).lines().count(), 1204);
        assert_eq!(shell.done(&["--in", DOMAIN, "codes", "list", "--limit", "1001"]).lines().count(), 1002);
        assert!(shell.done(&["--in", DOMAIN, "rollouts", "csv", id]).starts_with("sip,name,code,"));
        assert_eq!(shell.done(&["--in", DOMAIN, "rollouts", "delete", id, "--revoke"]), "revoked  1203\n");
        assert_eq!(shell.json(&["--in", DOMAIN, "codes", "list"]), Value::Array(Vec::new()));

        let wrong = shell.run_with(&create, "sip\nanna\n\"\"\n");
        assert_eq!((wrong.code, wrong.out.as_str()), (1, ""), "{wrong:?}");
        assert!(wrong.err.starts_with("provbroker: line 3, column 1 (sip): it is empty (422)"), "{wrong:?}");
    });
}

#[test]
fn jobs_take_parameters_and_files() {
    with_broker(|shell| {
        assert!(shell.refused(1, &about(DOMAIN, &["jobs", "update"])).contains("no build list"));
        let list = r#"{"baseUrl": "https://files.example.org/fw/", "products": {"IP112": {"firmware": "136044"}}}"#;
        let builds = shell.file("builds.json", list);
        assert_eq!(shell.done(&about(DOMAIN, &["builds", "import", text(&builds)])), "");
        assert!(shell.done(&about(DOMAIN, &["builds", "show"])).contains("products.IP112.firmware  136044\n"));
        let job = shell.json(&about(DOMAIN, &["jobs", "update", "--hours", "22,23", "--utc-offset", "-60"]));
        assert_eq!(job["update"]["hours"]["utcOffset"], -60);
        let id = job["id"].to_string();

        let job = shell.json(&about(DOMAIN, &["jobs", "config", "ntp", "server=ntp.example.org", "interval:=60"]));
        assert_eq!(job["config"]["values"]["interval"], 60);
        secrets::note("hush-of-the-test");
        let values = shell.file("sip.json", r#"{"password": "hush-of-the-test"}"#);
        let sip = ["jobs", "config", "sip", "--values", text(&values), "protocol=sip", "primary=pbx.example.org"];
        assert!(shell.refused(1, &about(DOMAIN, &sip)).starts_with("provbroker: values.name: "));
        let job = shell.json(&about(DOMAIN, &[&sip[..], &["name=#m"]].concat()));
        assert_eq!(job["config"]["values"]["password"], "hidden");
        assert!(shell.refused(2, &about(DOMAIN, &["jobs", "config", "sip", "password=x"])).contains("--values"));
        let table = shell.done(&about(DOMAIN, &["jobs", "list"]));
        assert!(table.contains("22, 23") && table.contains("server=ntp.example.org"), "{table}");
        shell.done(&about(DOMAIN, &["jobs", "delete", &id]));
        assert_eq!(shell.json(&about(DOMAIN, &["jobs", "list"])).as_array().unwrap().len(), 2);
        assert_eq!(shell.json(&about(DOMAIN, &["outcomes"])), Value::Array(Vec::new()));
    });
}

#[test]
fn a_domain_sees_its_own_things_only() {
    with_broker(|shell| {
        let one = Shell { domain: Some(DOMAIN), password: Some(PASSWORD), ..Shell::at(shell.url.clone()) };
        let other = Shell { domain: Some(OTHER), password: Some(OTHER_PASSWORD), ..Shell::at(shell.url.clone()) };
        let mine = one.json(&["codes", "issue", "--category", CATEGORY]);
        let code = mine["code"].as_str().unwrap();
        for arguments in [
            &["domains", "get", DOMAIN][..],
            &["--in", DOMAIN, "devices", "list"],
            &["--in", DOMAIN, "codes", "get", code],
            &["--in", DOMAIN, "codes", "revoke", code],
        ] {
            assert_eq!(other.refused(1, arguments), "provbroker: there is no such domain (404)\n");
        }
        assert!(other.refused(1, &["codes", "get", code]).contains("there is no such code"));
        assert!(other.refused(1, &["unassigned"]).contains("only with the instance password (403)"));
        assert_eq!(other.json(&["domains", "list"]).as_array().unwrap().len(), 1);

        // Only the domain that is seen can grant access.
        one.done(&["access", "set", OTHER]);
        assert_eq!(other.json(&["--in", DOMAIN, "codes", "list"])[0]["code"], code);
        assert!(other.refused(1, &["--in", DOMAIN, "categories", "create", "X"]).contains("(403)"));
        one.done(&["access", "set"]);
        assert!(other.refused(1, &["--in", DOMAIN, "codes", "list"]).contains("(404)"));
    });
}

#[test]
fn an_error_is_one_line_and_an_exit_code() {
    with_broker(|shell| {
        let wrong = Shell { password: Some("wrong"), ..Shell::at(shell.url.clone()) };
        assert_eq!(wrong.refused(1, &["domains", "list"]), "provbroker: domain or password is wrong (403)\n");
        let without = Shell { password: None, ..Shell::at(shell.url.clone()) };
        assert!(without.refused(2, &["domains", "list"]).contains("PROVBROKER_PASSWORD"));
        assert!(shell.refused(2, &["devices", "list"]).contains("--in DOMAIN"));
        assert!(shell.refused(2, &["domains", "list", "--url", "broker.example"]).contains("--url"));
        assert!(shell.refused(2, &["domains", "list", "--password-file", "nowhere"]).contains("nowhere: "));
        let line = shell.refused(1, &["--in", DOMAIN, "categories", "create", "  "]);
        assert_eq!(line, "provbroker: name: has blanks only (422)\n");
        let line = shell.refused(1, &["--in", DOMAIN, "categories", "create", "Hall, left"]);
        assert!(line.starts_with("provbroker: name: must not have a comma"), "{line}");
        assert_eq!(shell.run(&["nothing"]).code, 2);
        // A server answers, but not with this interface.
        let elsewhere = Shell::at(format!("{}/elsewhere", shell.url));
        assert!(elsewhere.refused(1, &["domains", "list"]).contains("404"));
    });
}

#[test]
fn an_unreachable_broker_is_one_line() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let line = Shell::at(format!("http://{free}")).refused(1, &["domains", "list"]);
    assert!(line.starts_with(&format!("provbroker: http://{free}/ cannot be reached: ")), "{line}");
}

#[test]
fn a_closed_output_is_no_error() {
    with_broker(|shell| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provbroker"));
        command.args(["ctl", "domains", "list", "--url", &shell.url]).env("PROVBROKER_PASSWORD", INSTANCE_PASSWORD);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    });
}

#[test]
fn a_phone_is_assigned_and_moves_by_consent() {
    let keep = Keep::embedded();
    let broker = Broker::on(&keep, |_| {});
    let shell = Shell::at(format!("http://{}", broker.addr));
    let category = |domain| shell.json(&["--in", domain, "categories", "list"])[0]["id"].to_string();
    run(async {
        let mut phone = Device::identified(broker.addr, &identify(PHONE)).await;
        phone.quiet().await;
        until("the phone waits", async || shell.json(&["unassigned"])[0]["online"] == true).await;
        assert!(shell.done(&["unassigned"]).contains(&format!("\n{PHONE}  IP112")));
        let made = shell.json(&about(DOMAIN, &["devices", "assign", PHONE, "--category", &category(DOMAIN)]));
        assert_eq!(made["way"], "manual");
        phone.expect_password().await;
        let devices = |domain, filter: &[&'static str]| {
            shell.json(&[&["--in", domain, "devices", "list"], filter].concat()).as_array().unwrap().len()
        };
        until("the phone is a member", async || devices(DOMAIN, &["--online", "true"]) == 1).await;
        assert_eq!(devices(DOMAIN, &["--type", "PHONE", "--product", "IP1", "--hw-ids", PHONE]), 1);
        assert_eq!(devices(DOMAIN, &["--type", "GW"]), 0);
        assert_eq!(shell.done(&about(DOMAIN, &["devices", "rename", PHONE, "Front desk"])), "");
        let table = shell.done(&about(DOMAIN, &["devices", "list"]));
        assert!(table.contains(&format!("\n{PHONE}  Front desk  IP112")), "{table}");

        shell.done(&about(DOMAIN, &["devices", "offer", PHONE, "--to", OTHER]));
        assert!(shell.done(&about(OTHER, &["offers", "list"])).contains(PHONE));
        shell.done(&about(OTHER, &["offers", "accept", PHONE, "--category", &category(OTHER)]));
        assert_eq!((devices(DOMAIN, &[]), devices(OTHER, &[])), (0, 1));
        until("the move is told", async || {
            let story = shell.json(&about(OTHER, &["devices", "timeline", PHONE]));
            story["steps"].as_array().unwrap().iter().any(|step| step["event"] == "moved" && step["detail"] == DOMAIN)
        })
        .await;
        assert_eq!(shell.done(&about(OTHER, &["devices", "remove", PHONE])), "");
        assert!(shell.refused(1, &about(OTHER, &["devices", "get", PHONE])).contains("there is no such device (404)"));
    });
}

/// Answers two requests without a broker: a token, then this answer. Closes the connection after each.
fn answering(answer: &'static str) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let token = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{\"token\":\"x\"}";
    let thread = std::thread::spawn(move || {
        for text in [token, answer] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            // Both requests end with a brace or with the last chunk.
            while !request.ends_with(b"}") && !request.ends_with(b"\r\n0\r\n\r\n") {
                let mut piece = [0; 4096];
                let length = stream.read(&mut piece).unwrap();
                assert_ne!(length, 0);
                request.extend_from_slice(&piece[..length]);
            }
            stream.write_all(text.as_bytes()).unwrap();
        }
    });
    (url, thread)
}

#[test]
fn an_incomplete_list_is_an_error() {
    let (url, thread) = answering(
        "HTTP/1.1 201 Created\r\nLocation: /api/v1/domains/1/rollouts/12\r\nTransfer-Encoding: chunked\r\n\r\n\
         a\r\nsip,name\r\n\r\n",
    );
    let create = ["--in", DOMAIN, "rollouts", "create", "-", "--name", "All", "--category", CATEGORY];
    let done = Shell::at(url).run_with(&create, "sip\nanna\n");
    thread.join().unwrap();
    assert_eq!((done.code, done.out.as_str()), (1, "sip,name\r\n"), "{done:?}");
    assert!(done.err.contains("the list broke off") && done.err.contains("rollouts delete 12 --revoke"), "{done:?}");
}
