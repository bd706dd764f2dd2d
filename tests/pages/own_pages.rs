//! The devices' own pages: who may open them, for how long, and that they cannot affect the pages of the broker.

use std::net::SocketAddr;

use crate::browser::Browser;
use crate::operators::{PHONE, desk, phone};
use crate::support::broker::{Broker, CATEGORY, DOMAIN, Keep, PASSWORD as OF_DOMAIN, config, run, with_broker};
use crate::support::peer::{Device, until};
use crate::support::raw::{Answer, LOCALHOST, Raw, exchange};
use crate::support::rest::Operator;
use crate::support::secrets;
use crate::support::tunnel::{MARK, dangerous_lines};
use crate::{PASSWORD, accounts};

const OTHER_PHONE: &str = "0090334100d2";
const NOTHING: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// The address in a frame.
#[derive(Clone)]
struct Opened {
    /// As in `src`, without the path.
    origin: String,
    to: SocketAddr,
    /// Path of the first page.
    path: String,
}

impl Opened {
    /// From the page that contains the frame.
    fn of(body: &str) -> Self {
        let (_, frame) = body.split_once("<iframe").expect("a frame");
        let frame = frame.split('>').next().unwrap();
        assert!(frame.contains("sandbox=\"allow-forms allow-scripts\""), "{frame}");
        let address = frame.split_once("src=\"").unwrap().1.split('"').next().unwrap();
        let (host, path) = address.strip_prefix("http://").unwrap().split_once('/').unwrap();
        secrets::note(path.split('/').nth(2).unwrap());
        Self { origin: format!("http://{host}"), to: host.parse().unwrap(), path: format!("/{path}") }
    }

    fn request(&self, rest: &str, lines: &str) -> String {
        format!("GET {}{rest} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{lines}\r\n", self.path, self.to)
    }

    async fn get(&self, rest: &str, lines: &str) -> Answer {
        exchange(LOCALHOST, self.to, &self.request(rest, lines)).await
    }

    /// With a device that answers.
    async fn answered(&self, device: &mut Device) -> u16 {
        tokio::join!(self.get("", ""), device.answer_once(NOTHING)).0.status
    }
}

async fn open(browser: &mut Browser, device: &str) -> Answer {
    let page = format!("{}/devices/{device}", desk(DOMAIN));
    browser.submit(&page, &format!("{page}/pages"), &[]).await
}

#[test]
fn the_frame_has_another_origin_and_nothing_of_ours() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let mut device = phone(broker).await;
        let mut browser = Browser::signed_in(broker.addr, "operator", PASSWORD).await;
        let answer = open(&mut browser, PHONE).await;
        let opened = Opened::of(&answer.body);
        assert_ne!(opened.to, broker.addr);
        let policy = answer.field("content-security-policy").unwrap().to_owned();
        assert!(policy.ends_with(&format!("; frame-src {}", opened.origin)), "{policy}");
        assert!(browser.page("/ui/operator/audit").await.contains("device.open"));

        // A browser sends cookies to every port of a host; none is passed to the device, and none from it.
        let lines = format!("Cookie: a=b; provbroker_session={}\r\n", browser.cookies["provbroker_session"]);
        let said =
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{}Content-Length: 2\r\n\r\nok", dangerous_lines());
        let (got, asked) = tokio::join!(opened.get("log.txt?a=b", &lines), device.answer_once(&said));
        assert!(!got.head.contains(MARK), "{}", got.head);
        assert!(asked.starts_with("GET /log.txt?a=b HTTP/1.1\r\n"), "{asked}");
        assert!(!asked.to_lowercase().contains("cookie"), "{asked}");
        assert_eq!((got.status, &*got.body), (200, "ok"));
        let mut names: Vec<_> = got.head.lines().skip(1).filter_map(|line| Some(line.split_once(": ")?.0)).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "access-control-allow-origin",
                "cache-control",
                "connection",
                "content-length",
                "content-security-policy",
                "content-type",
                "date",
                "referrer-policy"
            ]
        );
        let base = format!("{}{}", opened.origin, opened.path);
        let confined = format!(
            "sandbox allow-forms allow-scripts; default-src {base} 'unsafe-inline' 'unsafe-eval' data: blob:; \
             form-action {base}; base-uri {base}; frame-ancestors http://{}",
            broker.addr
        );
        assert_eq!(got.field("content-security-policy"), Some(&*confined));
        assert_eq!(got.field("access-control-allow-origin"), Some("null"));

        let moved = "HTTP/1.1 302 Found\r\nLocation: /admin.xml\r\nContent-Length: 0\r\n\r\n";
        let (got, _) = tokio::join!(opened.get("", ""), device.answer_once(moved));
        assert_eq!(got.field("location"), Some(&*format!("{}admin.xml", opened.path)));

        // The listener serves nothing else, and the public one does not serve this.
        for path in ["/", "/ui/", "/ui/sign-in", "/api/v1/token", "/healthz", "/device", "/device/0090334100d1"] {
            let other = Opened { path: path.into(), ..opened.clone() };
            assert_eq!(other.get("", "").await.status, 404, "{path}");
        }
        let public = Opened { to: broker.addr, ..opened.clone() };
        assert_eq!(public.get("", "").await.status, 404);
        device.quiet().await;
    });
}

#[test]
fn an_address_is_for_one_device_and_one_session() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let mut device = phone(broker).await;
        let rest = Operator::of(broker.addr, DOMAIN, OF_DOMAIN).await;
        let wish = serde_json::json!({"category": CATEGORY});
        let code =
            rest.done("POST", "/domains/example.com/codes", Some(wish)).await["code"].as_str().unwrap().to_owned();
        secrets::note(&code);
        let (mut other, password) = Device::enter(broker.addr, OTHER_PHONE, &code).await;
        other.expect_admin_password(&password).await;
        until("the other is listed", async || {
            rest.get("/domains/example.com/devices?online=true").await["devices"].as_array().unwrap().len() == 2
        })
        .await;

        let mut browser = Browser::signed_in(broker.addr, "operator", PASSWORD).await;
        let opened = Opened::of(&open(&mut browser, PHONE).await.body);
        assert_eq!(opened.answered(&mut device).await, 204);
        let crossed = Opened { path: opened.path.replace(PHONE, OTHER_PHONE), ..opened.clone() };
        assert_eq!(crossed.get("", "").await.status, 403);
        let guessed = Opened { path: format!("/device/{PHONE}/{}/", "5d".repeat(130)), ..opened.clone() };
        let got = guessed.get("", "Accept-Language: de\r\n").await;
        assert!(got.status == 403 && got.body.contains("Die Zeit dieser Seite ist um"), "{}", got.body);
        let confined = format!("sandbox; default-src 'none'; frame-ancestors http://{}", broker.addr);
        assert_eq!(got.field("content-security-policy"), Some(&*confined));

        // An operator of another domain gets none, and nobody else does either.
        for (name, status) in [("stranger", 404), ("anna", 403), ("admin", 403)] {
            let mut foreign = Browser::signed_in(broker.addr, name, PASSWORD).await;
            let page = format!("{}/devices/{PHONE}/pages", desk(DOMAIN));
            let answer = foreign.submit("/ui/account", &page, &[]).await;
            assert!(answer.status == status && !answer.body.contains("<iframe"), "{name}: {}", answer.body);
        }

        // It ends with the session, and another session has its own.
        let mut second = Browser::signed_in(broker.addr, "operator", PASSWORD).await;
        let its = Opened::of(&open(&mut second, OTHER_PHONE).await.body);
        assert_eq!(browser.submit("/ui/account", "/ui/sign-out", &[]).await.status, 303);
        assert_eq!(opened.get("", "").await.status, 403);
        assert_eq!(its.answered(&mut other).await, 204);
        rest.done("DELETE", &format!("/domains/example.com/devices/{OTHER_PHONE}"), None).await;
        let got = its.get("", "").await;
        assert!(got.status == 404 && got.body.contains("does not belong to this domain"), "{}", got.body);
        device.quiet().await;
    });
}

#[test]
fn an_address_expires() {
    let short = |config: &mut provbroker::config::Config| {
        accounts(config);
        config.pages.device_open = std::time::Duration::from_secs(1);
    };
    with_broker(&Keep::embedded(), short, async |broker| {
        let mut device = phone(broker).await;
        let mut browser = Browser::signed_in(broker.addr, "operator", PASSWORD).await;
        // The device is gone: before the address expires every request is answered with 503.
        let opened = Opened::of(&open(&mut browser, PHONE).await.body);
        device.quiet().await;
        device.leave().await;
        until("the time is over", async || opened.get("", "").await.status == 403).await;
    });
}

#[test]
fn errors_are_in_the_language_of_the_operator() {
    let few = |config: &mut provbroker::config::Config| {
        accounts(config);
        config.devices.max_tunnels = 1;
    };
    with_broker(&Keep::embedded(), few, async |broker| {
        let mut device = phone(broker).await;
        let mut browser = Browser::signed_in(broker.addr, "operator", PASSWORD).await;
        let opened = Opened::of(&open(&mut browser, PHONE).await.body);
        browser.language = "de";
        let german = Opened::of(&open(&mut browser, PHONE).await.body);
        let mut first = Raw::connect(opened.to).await;
        first.send(opened.request("", "").as_bytes()).await;
        device.request().await;
        for (opened, text) in [(&opened, "too many pages at once"), (&german, "zu viele Seiten auf einmal")] {
            let got = opened.get("", "").await;
            assert!(got.status == 429 && got.body.contains(text), "{}", got.body);
        }
        device.leave().await;
        let gone = async || opened.get("", "").await.status == 503;
        until("the device is gone", gone).await;
        let got = opened.get("", "Accept-Language: de\r\n").await;
        assert!(got.body.contains("The device is not connected") && got.body.contains("lang=\"en\""), "{}", got.body);
        assert_eq!(got.field("retry-after"), Some("5"));
        assert!(german.get("", "").await.body.contains("Das Gerät ist nicht verbunden"));
        let answer = open(&mut browser, PHONE).await;
        assert!(answer.body.contains("Das Gerät ist nicht verbunden") && !answer.body.contains("<iframe"));
    });
}

/// As with the passthrough address: a phone is reached only at its own node, and the address is valid there wherever
/// it was issued.
#[test]
fn a_phone_at_the_other_node_is_reached_there() {
    let keep = Keep::redis();
    let (one, two) = (Broker::on(&keep, accounts), Broker::on(&keep, accounts));
    run(async {
        let mut device = phone(&two).await;
        let mut browser = Browser::signed_in(one.addr, "operator", PASSWORD).await;
        let here = Opened::of(&open(&mut browser, PHONE).await.body);
        let got = here.get("", "").await;
        assert!(got.status == 503 && got.body.contains("another node"), "{}", got.body);
        let mut other = Browser::new(two.addr);
        other.cookies = browser.cookies;
        let there = Opened::of(&open(&mut other, PHONE).await.body);
        assert_eq!(Opened { path: here.path, ..there }.answered(&mut device).await, 204);
    });
}

#[test]
fn a_port_in_use_and_an_unreachable_listener() {
    let taken = std::net::TcpListener::bind((LOCALHOST, 0)).unwrap();
    let keep = Keep::embedded();
    let mut busy = config(&keep.url());
    busy.pages.device_listen = taken.local_addr().unwrap();
    let started = actix_rt::System::new().block_on(async {
        provbroker::app::Broker::start(busy, provbroker::lifecycle::Shutdown::new()).await.map(drop)
    });
    let line = started.unwrap_err().to_string();
    assert!(line.starts_with("pages.device_listen: cannot listen on 127.0.0.1:") && !line.contains('\n'), "{line}");

    // Without an address that browsers can reach there is no frame, and the page says what to do.
    let elsewhere = |config: &mut provbroker::config::Config| {
        accounts(config);
        config.server.public_url = "http://phones.example".into();
    };
    with_broker(&keep, elsewhere, async |broker| {
        let _device = phone(broker).await;
        let mut browser = Browser::new(broker.addr);
        // Not over TLS, as it would be otherwise.
        let fields = [("name", "operator"), ("password", PASSWORD)];
        browser.submit("/ui/sign-in", "/ui/sign-in", &fields).await;
        let answer = open(&mut browser, PHONE).await;
        assert!(answer.body.contains("pages.device_url") && !answer.body.contains("<iframe"), "{}", answer.body);
        assert!(answer.field("content-security-policy").unwrap().ends_with("; frame-src 'none'"));
    });
}
