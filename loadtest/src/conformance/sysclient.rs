//! Registration of devices: `docs/protocol/sysclient.md`, sections 1 to 6 and 9.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::device::{Device, admin, open_admin_password, phone, tunnel, with};
use super::finding::{Findings, Step, Unexpected, ensure};
use super::kit::{Check, Kit, Member, Need, check};
use super::socket::{Socket, TEXT};
use super::target::PATIENCE;
use crate::ws::BINARY;

/// Checks that wait for half a minute.
pub const SLOW: &[Check] = &[check!(late, ["sysclient-5-a"]), check!(pinged, ["sysclient-1.2-i"])];

const RANDOM_PASSWORD: [&str; 7] = [
    "sysclient-3.4-a",
    "sysclient-3.4-b",
    "sysclient-3.4-c",
    "sysclient-3.4-d",
    "sysclient-3.4-e",
    "sysclient-3.4-h",
    "sysclient-3.4-j",
];

/// All others.
pub const CHECKS: &[Check] = &[
    check!(upgrade, ["sysclient-1.1-a", "sysclient-1.2-a", "sysclient-1.2-b", "sysclient-1.2-c", "sysclient-1.2-d"]),
    check!(text, ["sysclient-1.2-f", "sysclient-1.2-k"]),
    check!(fragments, ["sysclient-1.2-g"]),
    check!(too_long, ["sysclient-1.2-h"]),
    check!(tolerated, ["sysclient-2-b", "sysclient-2-c", "sysclient-2-e"]),
    check!(repeated, ["sysclient-2-d"]),
    check!(unknown_type, ["sysclient-2.1-a"]),
    check!(frames, ["sysclient-9-c"]),
    check!(direction, ["sysclient-9-d"]),
    check!(malformed, ["sysclient-9-e"]),
    check!(members, ["sysclient-9-f"]),
    check!(identifiers, ["sysclient-3.1-b"]),
    check!(texts, ["sysclient-3.1-e"]),
    check!(typed_code, ["sysclient-3.1-l"]),
    check!(
        entry,
        [
            "sysclient-1.2-e",
            "sysclient-2-a",
            "sysclient-3.2-a",
            "sysclient-3.2-b",
            "sysclient-3.2-c",
            "sysclient-3.3-a",
            "sysclient-3.3-b",
            "sysclient-4-a",
            "sysclient-5-b",
            "sysclient-5-f",
            "sysclient-5-h",
            "sysclient-5-r",
        ]
    ),
    check!(random_password, RANDOM_PASSWORD),
    check!(domain_password, ["sysclient-3.4-g"]),
    check!(unassigned, ["sysclient-3.1-a", "sysclient-5-d", "sysclient-5-t"]),
    check!(old_digest, ["sysclient-3.1-m"]),
    check!(spelling, ["sysclient-3.1-c", "sysclient-3.1-d"]),
    check!(digest_forms, ["sysclient-4-b", "sysclient-4-c"]),
    check!(wrong_digest, ["sysclient-5-i"]),
    check!(challenged, ["sysclient-5-j", "sysclient-5-k"]),
    check!(enter_again, ["sysclient-3.2-d", "sysclient-5-e", "sysclient-5-n", "sysclient-5-y"]),
    check!(replaced, ["sysclient-5-u", "sysclient-5-v"]),
    check!(race, ["sysclient-5-w"]),
    check!(refreshed, ["sysclient-5-m"]),
    check!(unknown_platform, ["sysclient-3.1-j"]),
    check!(ports, ["sysclient-3.5-a", "sysclient-3.5-c", "sysclient-3.5-e", "sysclient-3.5-f", "devices-api-2.5-g"]),
    check!(port_of_nobody, ["sysclient-3.5-d"]),
    check!(other_makers, ["sysclient-3.6-a", "sysclient-3.6-b", "sysclient-5.1-a"]),
    check!(other_domain, ["sysclient-5-o"], [Need::OtherDomain]),
    check!(
        token,
        ["sysclient-3.4-i", "sysclient-5-c", "sysclient-6-a", "sysclient-6-c", "sysclient-6-d", "sysclient-6-e"],
        [Need::Token]
    ),
    check!(code_before_token, ["sysclient-6-f"], [Need::Token]),
];

async fn late(kit: &Kit, f: &mut Findings) -> Step {
    let start = Instant::now();
    let mut device = Device::connect(&kit.target, &f.transcript, "").await?;
    f.rule("sysclient-5-a");
    let code = device.socket.close_code(Duration::from_secs(38)).await?;
    let seconds = start.elapsed().as_secs();
    ensure(code == 1008 && seconds >= 25, || format!("close {code} after {seconds} s"))
}

async fn pinged(kit: &Kit, f: &mut Findings) -> Step {
    let mut device = Device::identified(&kit.target, &f.transcript, &phone(&kit.id())).await?;
    f.rule("sysclient-1.2-i");
    device.stay(Duration::from_secs(34)).await?;
    ensure(!device.socket.pings.is_empty(), || "no ping in 34 s".into())
}

async fn upgrade(kit: &Kit, f: &mut Findings) -> Step {
    let path = format!("{}/sysclients", kit.target.path);
    f.rule("sysclient-1.1-a");
    let origin = format!("Origin: https://{}\r\n", kit.target.authority());
    Socket::open(&kit.target, &f.transcript, &path, &origin).await?;
    f.rule("sysclient-1.2-b");
    let plain = Socket::open(&kit.target, &f.transcript, &path, "").await?;
    f.rule("sysclient-1.2-a");
    ensure(!plain.head.to_ascii_lowercase().contains("sec-websocket-protocol"), || plain.head.clone())?;
    f.rule("sysclient-1.2-d");
    let exact = plain
        .head
        .lines()
        .any(|line| line.strip_prefix("Sec-WebSocket-Accept: ").is_some_and(|value| !value.starts_with(' ')));
    ensure(exact && plain.head.len() < 1024, || format!("{} bytes:\n{}", plain.head.len(), plain.head))?;
    f.rule("sysclient-1.2-c");
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let offered = Socket::open(&kit.target, &f.transcript, &path, offer).await?;
    ensure(!offered.head.to_ascii_lowercase().contains("sec-websocket-extensions"), || offered.head.clone())
}

async fn text(kit: &Kit, f: &mut Findings) -> Step {
    let mut device = Device::connect(&kit.target, &f.transcript, "").await?;
    f.rule("sysclient-1.2-f");
    device.socket.message(TEXT, b"{}").await?;
    device.socket.expect_close(1003).await?;
    f.rule("sysclient-1.2-k");
    // Two seconds, and one for the network.
    let ended = device.socket.ends(Duration::from_secs(3)).await?;
    ensure(ended, || "still open 3 s after a close frame that was not answered".into())
}

async fn fragments(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let code = kit.code(&mut app).await?;
    let mut device = Device::connect(&kit.target, &f.transcript, "").await?;
    let identify = with(phone(&kit.id()), json!({"provisioningCode": code}));
    let bytes = admin(0, &identify.to_string());
    f.rule("sysclient-1.2-g");
    device.socket.frame(BINARY, &bytes[..2]).await?;
    device.socket.frame(0, &bytes[2..40]).await?;
    device.socket.frame(0x80, &bytes[40..]).await?;
    device.expect_password().await?;
    Ok(())
}

async fn too_long(kit: &Kit, f: &mut Findings) -> Step {
    let mut device = Device::connect(&kit.target, &f.transcript, "").await?;
    f.rule("sysclient-1.2-h");
    let long = with(phone(&kit.id()), json!({"padding": "x".repeat(65_536)}));
    device.socket.message(BINARY, &admin(0, &long.to_string())).await?;
    device.socket.expect_close(1009).await
}

/// Enters with a new code and this text of an identify.
async fn enters_with(kit: &Kit, f: &mut Findings, text: impl FnOnce(&str, &str) -> String) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let code = kit.code(&mut app).await?;
    let mut device = Device::connect(&kit.target, &f.transcript, "").await?;
    let text = text(&kit.id(), &code);
    f.transcript.sent(&text);
    device.socket.message(BINARY, &admin(0, &text)).await?;
    device.expect_password().await?;
    Ok(())
}

async fn tolerated(kit: &Kit, f: &mut Findings) -> Step {
    f.rule("sysclient-2-b");
    enters_with(kit, f, |id, code| {
        let identify = with(phone(id), json!({"provisioningCode": code, "fw": "a/b.bin"}));
        format!("{identify:#}").replace('/', "\\/")
    })
    .await?;
    f.rule("sysclient-2-c");
    let unknown = json!({"somethingNew": {"a": [1, null]}});
    enters_with(kit, f, |id, code| with(with(phone(id), unknown), json!({"provisioningCode": code})).to_string())
        .await?;
    f.rule("sysclient-2-e");
    let wrong = json!({"name": 5, "mini": "yes", "fwBuild": [], "ethIfs": {}});
    enters_with(kit, f, |id, code| with(with(phone(id), wrong), json!({"provisioningCode": code})).to_string()).await
}

async fn repeated(kit: &Kit, f: &mut Findings) -> Step {
    f.rule("sysclient-2-d");
    let twice = phone(&kit.id()).to_string().replacen('{', "{\"product\":\"IP111\",", 1);
    refused(kit, f, &admin(0, &twice), 1007).await
}

async fn unknown_type(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let code = kit.code(&mut app).await?;
    let mut device = Device::connect(&kit.target, &f.transcript, "").await?;
    f.rule("sysclient-2.1-a");
    device.admin(7, &json!({"x": 1})).await?;
    device.admin(0x1234, &json!({})).await?;
    device.identify(&with(phone(&kit.id()), json!({"provisioningCode": code}))).await?;
    device.expect_password().await?;
    Ok(())
}

/// A connection on which these bytes come first is closed with this code.
async fn refused(kit: &Kit, f: &mut Findings, bytes: &[u8], code: u16) -> Step {
    let mut device = Device::connect(&kit.target, &f.transcript, "").await?;
    f.transcript
        .sent(format_args!("{}", bytes.iter().take(80).map(|b| b.escape_ascii().to_string()).collect::<String>()));
    device.socket.message(BINARY, bytes).await?;
    device.socket.expect_close(code).await
}

async fn frames(kit: &Kit, f: &mut Findings) -> Step {
    f.rule("sysclient-9-c");
    for bytes in [&b""[..], &[3, 0, 0, b'{', b'}'], &[1, 0], &[2, 0, 0, 0, 1, 0, 0, 0]] {
        refused(kit, f, bytes, 1002).await?;
    }
    Ok(())
}

async fn direction(kit: &Kit, f: &mut Findings) -> Step {
    f.rule("sysclient-9-d");
    for kind in [1, 2, 3, 5, 6] {
        refused(kit, f, &admin(kind, "{}"), 1002).await?;
    }
    for event in [0, 1] {
        refused(kit, f, &tunnel(1, event, b"xxxx"), 1002).await?;
    }
    Ok(())
}

async fn malformed(kit: &Kit, f: &mut Findings) -> Step {
    f.rule("sysclient-9-e");
    let good = phone(&kit.id()).to_string();
    let deep = format!("{}1{}", "[".repeat(33), "]".repeat(33));
    let cases = [
        b"[]".to_vec(),
        good[..good.len() - 1].into(),
        [good.as_bytes(), b"\0"].concat(),
        good.replacen("IP112", "\\ud800", 1).into(),
        good.replacen("\"mini\":false", &format!("\"mini\":{deep}"), 1).into(),
        [b"{\"id\":\"", &b"\xff"[..], b"\"}"].concat(),
    ];
    for json in cases {
        refused(kit, f, &[&[1, 0, 0][..], &json].concat(), 1007).await?;
    }
    Ok(())
}

async fn members(kit: &Kit, f: &mut Findings) -> Step {
    f.rule("sysclient-9-f");
    let good = phone(&kit.id());
    for wrong in [
        json!({"id": null}),
        json!({"id": ""}),
        json!({"product": 112}),
        json!({"version": null}),
        json!({"platform": "PHONE"}),
        json!({"platform": {"fxs": false}}),
    ] {
        refused(kit, f, &admin(0, &with(good.clone(), wrong).to_string()), 1007).await?;
    }
    Ok(())
}

async fn identifiers(kit: &Kit, f: &mut Findings) -> Step {
    f.rule("sysclient-3.1-b");
    for id in ["a b", "a/b", "a\\b", "a?b", "a#b", "a%b", "a\u{1}b", ".", "..", &"x".repeat(65)] {
        refused(kit, f, &admin(0, &phone(id).to_string()), 1007).await?;
    }
    // A free word is good.
    let mut app = kit.app(&f.transcript).await?;
    let word = kit.unique("conformance");
    kit.enter_as(&mut app, &f.transcript, phone(&word)).await?;
    kit.made.borrow_mut().push(word);
    Ok(())
}

async fn texts(kit: &Kit, f: &mut Findings) -> Step {
    f.rule("sysclient-3.1-e");
    let good = phone(&kit.id());
    for (member, most) in [("product", 128), ("version", 256), ("name", 256), ("fwBuild", 64), ("fw", 128)] {
        let long = with(good.clone(), json!({member: "x".repeat(most + 1)}));
        refused(kit, f, &admin(0, &long.to_string()), 1007).await?;
    }
    Ok(())
}

async fn typed_code(kit: &Kit, f: &mut Findings) -> Step {
    f.rule("sysclient-3.1-l");
    enters_with(kit, f, |id, code| {
        let typed = format!("{} {}-{}#", &code[..4], &code[4..8], &code[8..]);
        with(phone(id), json!({"provisioningCode": typed})).to_string()
    })
    .await
}

/// Whether Devices says that a device is online.
async fn is_online(app: &mut super::app::App, id: &str) -> Step<bool> {
    let answer = app.request(json!({"mt": "GetDevice", "hwId": id})).await?;
    Ok(answer["device"]["online"] == true)
}

/// Waits until a device is, or is not, online.
async fn until_online(app: &mut super::app::App, id: &str, online: bool) -> Step {
    let until = Instant::now() + PATIENCE;
    while is_online(app, id).await? != online {
        ensure(Instant::now() < until, || format!("online is not {online} after 10 s"))?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn entry(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let (id, code) = (kit.id(), kit.code(&mut app).await?);
    let identify = phone(&id);
    let offered = with(identify.clone(), json!({"provisioningCode": code}));
    let mut device = Device::identified(&kit.target, &f.transcript, &offered).await?;
    f.rule("sysclient-5-b");
    let members = device.expect(1).await?;
    f.rule("sysclient-3.2-a");
    let password = members["password"].as_str().ok_or("0001 without a text password")?.to_owned();
    f.prepare();
    f.judge("sysclient-3.2-b", password.chars().count() == 32, format_args!("{} characters", password.len()));
    let letters = password.bytes().all(|byte| byte.is_ascii_alphanumeric());
    f.judge("sysclient-3.2-c", letters, "another character");
    until_online(&mut app, &id, true).await?;
    f.judge("sysclient-1.2-e", !device.texts, "a text message");
    f.judge("sysclient-2-a", !device.zeros, "a JSON text with a terminating zero byte");
    drop(device);
    f.rule("sysclient-5-r");
    until_online(&mut app, &id, false).await?;
    f.prepare();
    let mut device = Device::identified(&kit.target, &f.transcript, &identify).await?;
    f.rule("sysclient-5-f");
    let members = device.expect(2).await?;
    f.rule("sysclient-3.3-a");
    let challenge = members["challenge"].as_str().filter(|text| !text.is_empty()).ok_or("no text challenge")?;
    f.prepare();
    let digits = challenge.len() == 10 && challenge.bytes().all(|byte| byte.is_ascii_digit());
    f.judge("sysclient-3.3-b", digits, challenge);
    f.rule("sysclient-4-a");
    device.answer(&identify, challenge, &password).await?;
    device.socket.is_open().await?;
    f.rule("sysclient-5-h");
    until_online(&mut app, &id, true).await
}

async fn random_password(kit: &Kit, f: &mut Findings) -> Step {
    if !kit.deploys {
        for id in RANDOM_PASSWORD {
            f.skip(id, "the domain does not hand out its administrative password");
        }
        return Ok(());
    }
    let mut app = kit.app(&f.transcript).await?;
    let mut plain = Vec::new();
    let mut last = None;
    for _ in 0..2 {
        let mut member = kit.enter(&mut app, &f.transcript).await?;
        f.rule("sysclient-3.4-e");
        let members = member.device.expect(3).await?;
        f.prepare();
        let seed = members["seed"].as_str().unwrap_or_default();
        f.judge("sysclient-3.4-a", seed.chars().count() == 16, seed);
        let pwd = members["pwd"].as_str().unwrap_or_default();
        f.judge("sysclient-3.4-b", !pwd.is_empty() && super::crypto::unhex(pwd).is_some(), "something else");
        f.rule("sysclient-3.4-c");
        plain.push(open_admin_password(&members, &member.password).ok_or("what is no UTF-8 after decryption")?);
        f.prepare();
        last = Some(member);
    }
    f.judge("sysclient-3.4-h", plain[0] != plain[1], "two devices have the same password");
    let random = |text: &String| text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    f.judge("sysclient-3.4-j", plain.iter().all(random), "not 24 letters and digits");
    let Some(Member { identify, device, password, .. }) = last else { return Ok(()) };
    drop(device);
    let mut device = Device::identified(&kit.target, &f.transcript, &identify).await?;
    let challenge = device.expect_challenge().await?;
    device.answer(&identify, &challenge, &password).await?;
    f.rule("sysclient-3.4-d");
    let members = device.expect(3).await?;
    f.prepare();
    let again = open_admin_password(&members, &password);
    f.judge("sysclient-3.4-j", again.as_ref() == Some(&plain[1]), "another one at the next log-in");
    Ok(())
}

async fn domain_password(kit: &Kit, f: &mut Findings) -> Step {
    if !kit.deploys {
        f.skip("sysclient-3.4-g", "the domain does not hand out its administrative password");
        return Ok(());
    }
    let mut app = kit.app(&f.transcript).await?;
    let mut plain = Vec::new();
    f.rule("sysclient-3.4-g");
    for _ in 0..2 {
        let code = kit.code_with(&mut app, json!({"administrative": true})).await?;
        let identify = with(phone(&kit.id()), json!({"provisioningCode": code}));
        let mut device = Device::identified(&kit.target, &f.transcript, &identify).await?;
        let password = device.expect_password().await?;
        let members = device.expect(3).await?;
        plain.push(open_admin_password(&members, &password).ok_or("a password that cannot be decrypted")?);
    }
    ensure(plain[0] == plain[1], || "two devices got different passwords".into())
}

async fn unassigned(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let identify = phone(&kit.id());
    let mut device = Device::identified(&kit.target, &f.transcript, &identify).await?;
    f.rule("sysclient-5-d");
    device.silent().await?;
    device.socket.is_open().await?;
    f.rule("sysclient-5-t");
    device.identify(&with(identify.clone(), json!({"provisioningCode": "000000000000"}))).await?;
    device.silent().await?;
    device.identify(&with(identify.clone(), json!({"provisioningCode": "12ab"}))).await?;
    device.silent().await?;
    device.socket.is_open().await?;
    f.prepare();
    let code = kit.code(&mut app).await?;
    f.rule("sysclient-3.1-a");
    device.identify(&with(identify, json!({"provisioningCode": code}))).await?;
    device.expect_password().await?;
    Ok(())
}

/// A device that has entered and gone: its identify and password.
async fn known(kit: &Kit, f: &mut Findings, identify: Value) -> Step<(Value, String)> {
    let mut app = kit.app(&f.transcript).await?;
    let Member { identify, password, .. } = kit.enter_as(&mut app, &f.transcript, identify).await?;
    Ok((identify, password))
}

/// Answers the challenge and waits until the device is a member.
async fn logs_in(kit: &Kit, f: &mut Findings, device: &mut Device, identify: &Value, text: String) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let id: String = identify["id"].as_str().unwrap_or_default().replace(['-', ':'], "").to_lowercase();
    device.identify(&with(identify.clone(), json!({"digest": text}))).await?;
    until_online(&mut app, &id, true).await?;
    device.socket.is_open().await
}

async fn old_digest(kit: &Kit, f: &mut Findings) -> Step {
    let (identify, _) = known(kit, f, phone(&kit.id())).await?;
    f.rule("sysclient-3.1-m");
    let old = with(identify, json!({"digest": "0".repeat(64)}));
    let mut device = Device::identified(&kit.target, &f.transcript, &old).await?;
    device.expect_challenge().await?;
    device.socket.is_open().await
}

async fn spelling(kit: &Kit, f: &mut Findings) -> Step {
    let key = kit.id();
    let pairs: Vec<&str> = (0..6).map(|at| &key[2 * at..2 * at + 2]).collect();
    let (identify, password) = known(kit, f, phone(&pairs.join("-").to_uppercase())).await?;
    let mut app = kit.app(&f.transcript).await?;
    f.rule("sysclient-3.1-d");
    let answer = app.request(json!({"mt": "GetDevice", "hwId": key})).await?;
    ensure(answer["device"]["hwId"] == key.as_str(), || answer.to_string())?;
    f.prepare();
    let mut device = Device::identified(&kit.target, &f.transcript, &identify).await?;
    let challenge = device.expect_challenge().await?;
    f.rule("sysclient-3.1-c");
    let digest = super::device::digest(&identify, &challenge, &password);
    logs_in(kit, f, &mut device, &identify, digest).await
}

async fn digest_forms(kit: &Kit, f: &mut Findings) -> Step {
    let (identify, password) = known(kit, f, phone(&kit.id())).await?;
    let mut device = Device::identified(&kit.target, &f.transcript, &identify).await?;
    let challenge = device.expect_challenge().await?;
    f.rule("sysclient-4-b");
    let newer = with(identify.clone(), json!({"version": "13r3 sr10 [13.6044/136044/300]", "product": "IP112-2"}));
    let digest = super::device::digest(&newer, &challenge, &password);
    logs_in(kit, f, &mut device, &newer, digest).await?;
    f.prepare();
    drop(device);
    let mut device = Device::identified(&kit.target, &f.transcript, &newer).await?;
    let challenge = device.expect_challenge().await?;
    f.rule("sysclient-4-c");
    let digest = super::device::digest(&newer, &challenge, &password).to_uppercase();
    logs_in(kit, f, &mut device, &newer, digest).await
}

async fn wrong_digest(kit: &Kit, f: &mut Findings) -> Step {
    let (identify, _) = known(kit, f, phone(&kit.id())).await?;
    let mut device = Device::identified(&kit.target, &f.transcript, &identify).await?;
    device.expect_challenge().await?;
    f.rule("sysclient-5-i");
    device.identify(&with(identify, json!({"digest": "0".repeat(64)}))).await?;
    device.socket.expect_close(1008).await
}

async fn challenged(kit: &Kit, f: &mut Findings) -> Step {
    let (identify, _) = known(kit, f, phone(&kit.id())).await?;
    let mut app = kit.app(&f.transcript).await?;
    let mut device = Device::identified(&kit.target, &f.transcript, &identify).await?;
    device.expect_challenge().await?;
    f.rule("sysclient-5-k");
    device.identify(&identify).await?;
    device.silent().await?;
    device.socket.is_open().await?;
    f.prepare();
    let code = kit.code(&mut app).await?;
    f.rule("sysclient-5-j");
    device.identify(&with(identify, json!({"provisioningCode": code}))).await?;
    device.expect_password().await?;
    Ok(())
}

async fn enter_again(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let member = kit.settled(&mut app, &f.transcript, phone(&kit.id())).await?;
    let Member { identify, mut device, password, code } = member;
    f.rule("sysclient-5-y");
    device.identify(&with(identify.clone(), json!({"provisioningCode": code}))).await?;
    device.silent().await?;
    f.prepare();
    let code = kit.code(&mut app).await?;
    f.rule("sysclient-5-n");
    device.identify(&with(identify.clone(), json!({"provisioningCode": code}))).await?;
    let second = device.expect_password().await?;
    f.judge("sysclient-3.2-d", second != password, "the same password again");
    f.prepare();
    drop(device);
    until_online(&mut app, identify["id"].as_str().unwrap_or_default(), false).await?;
    let code = kit.code(&mut app).await?;
    f.rule("sysclient-5-e");
    let with_code = with(identify, json!({"provisioningCode": code}));
    let mut device = Device::identified(&kit.target, &f.transcript, &with_code).await?;
    device.expect_password().await?;
    Ok(())
}

async fn replaced(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let Member { identify, device: mut first, password, .. } = kit.enter(&mut app, &f.transcript).await?;
    let mut second = Device::identified(&kit.target, &f.transcript, &identify).await?;
    let challenge = second.expect_challenge().await?;
    f.rule("sysclient-5-u");
    first.socket.is_open().await?;
    f.rule("sysclient-5-v");
    second.answer(&identify, &challenge, &password).await?;
    first.socket.expect_close(1000).await?;
    second.socket.is_open().await
}

async fn race(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let code = kit.code(&mut app).await?;
    let mut devices = Vec::new();
    for _ in 0..4 {
        devices.push(Device::connect(&kit.target, &f.transcript, "").await?);
    }
    f.rule("sysclient-5-w");
    for device in &mut devices {
        device.identify(&with(phone(&kit.id()), json!({"provisioningCode": code}))).await?;
    }
    let mut entered = 0;
    for device in &mut devices {
        if matches!(device.next(super::device::SILENCE).await?, Some(super::device::Message::Admin(1, _))) {
            entered += 1;
        }
    }
    ensure(entered == 1, || format!("{entered} of four devices entered"))
}

async fn refreshed(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let mut member = kit.enter(&mut app, &f.transcript).await?;
    let mut watcher = kit.app(&f.transcript).await?;
    watcher.list(json!({"mt": "GetDevices", "recvUpdates": true}), "devices").await?;
    f.rule("sysclient-5-m");
    let version = "13r3 sr10 [13.6044/136044/300]";
    let changed = with(member.identify.clone(), json!({"version": version, "digest": "stale"}));
    member.device.identify(&changed).await?;
    let (id, device) = (member.identify["id"].clone(), &mut member.device);
    let fits = |notice: &Value| notice["device"]["hwId"] == id && notice["device"]["version"] == version;
    super::kit::alongside(device, watcher.notice("DeviceUpdate", fits)).await?;
    device.socket.is_open().await
}

async fn unknown_platform(kit: &Kit, f: &mut Findings) -> Step {
    let identify = with(phone(&kit.id()), json!({"platform": {"type": "KIOSK"}}));
    let mut app = kit.app(&f.transcript).await?;
    let member = kit.enter_as(&mut app, &f.transcript, identify).await?;
    let id = member.id();
    f.rule("sysclient-3.1-j");
    let answer = app.request(json!({"mt": "GetDevice", "hwId": id})).await?;
    ensure(answer["device"]["type"] == "KIOSK", || answer.to_string())?;
    let phones = app.list(json!({"mt": "GetPhones", "hwIds": id}), "phones").await?;
    ensure(phones.is_empty(), || Value::from(phones.clone()).to_string())
}

async fn ports(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let gateway = json!({"product": "IP411", "platform": {"type": "GW", "fxs": true}});
    let mut member = kit.settled(&mut app, &f.transcript, with(phone(&kit.id()), gateway)).await?;
    let code = kit.code(&mut app).await?;
    f.rule("sysclient-3.5-c");
    // Two requests at once: the answers come in this order.
    member.device.admin(4, &json!({"id": "TEL3", "code": code})).await?;
    member.device.admin(4, &json!({"id": "TEL4", "code": "000000000000"})).await?;
    let (good, bad) = (port_result(&mut member.device).await?, port_result(&mut member.device).await?);
    f.judge("sysclient-3.5-c", good["error"].as_str().unwrap_or_default().is_empty() != bad["error"].is_null(), &bad);
    f.prepare();
    f.judge("sysclient-3.5-a", good["error"].as_str().unwrap_or_default().is_empty(), &good);
    f.judge("sysclient-3.5-e", bad["error"] == "unknown code", &bad);
    f.rule("devices-api-2.5-g");
    let notice = app.notice("DeviceProvisioned", |notice| notice["code"] == code.as_str()).await?;
    let its = &notice["device"]["hwId"];
    ensure(*its == member.identify["id"] && notice["port"] == "TEL3", || notice.to_string())?;
    f.rule("sysclient-3.5-f");
    let answer = app.request(json!({"mt": "GetDevicePhones", "hwId": member.identify["id"]})).await?;
    ensure(answer["phones"] == json!(["TEL3"]), || answer.to_string())
}

/// The next `0005`; the administrative password may come before.
async fn port_result(device: &mut Device) -> Step<Value> {
    loop {
        match device.receive().await? {
            (3, _) => {}
            (5, members) => return Ok(members),
            (kind, _) => return Err(Unexpected(format!("{kind:04x} instead of 0005"))),
        }
    }
}

async fn port_of_nobody(kit: &Kit, f: &mut Findings) -> Step {
    let gateway = with(phone(&kit.id()), json!({"platform": {"type": "GW", "fxs": true}}));
    let mut device = Device::identified(&kit.target, &f.transcript, &gateway).await?;
    f.rule("sysclient-3.5-d");
    device.admin(4, &json!({"id": "TEL1", "code": "000000000000"})).await?;
    let members = device.expect(5).await?;
    ensure(members["error"] == "not in a domain", || members.to_string())?;
    device.socket.is_open().await
}

async fn other_makers(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    f.rule("sysclient-3.6-a");
    let mut ordinary = kit.enter(&mut app, &f.transcript).await?;
    let until = Instant::now() + super::device::SILENCE;
    while let Some(message) = ordinary.device.next(until.saturating_duration_since(Instant::now())).await? {
        if let super::device::Message::Admin(6, _) = message {
            return Err("0006 to a device without other".into());
        }
    }
    f.prepare();
    let identify = with(phone(&kit.id()), json!({"other": true}));
    let mut member = kit.enter_as(&mut app, &f.transcript, identify).await?;
    let mut kinds = Vec::new();
    f.rule("sysclient-3.6-b");
    loop {
        let (kind, members) = member.device.receive().await?;
        kinds.push(kind);
        if kind == 6 && members["last"] == true {
            break;
        }
    }
    f.prepare();
    let ordered = kinds.is_sorted() && kinds.iter().all(|kind| matches!(kind, 3 | 6));
    f.judge("sysclient-5.1-a", ordered, format_args!("0001, then {kinds:?}"));
    Ok(())
}

async fn other_domain(kit: &Kit, f: &mut Findings) -> Step {
    let (identify, password) = known(kit, f, phone(&kit.id())).await?;
    let mut other = kit.other_app(&f.transcript).await?;
    let listed = other.list(json!({"mt": "GetProvisioningCategories"}), "categories").await?;
    let category = listed.first().ok_or("the second domain has no category for provisioning")?["name"].clone();
    let answer = other.request(json!({"mt": "GetProvisioningCode", "category": category})).await?;
    let code = answer["code"].as_str().ok_or("no code of the second domain")?.to_owned();
    f.rule("sysclient-5-o");
    let offered = with(identify.clone(), json!({"provisioningCode": code}));
    let mut device = Device::identified(&kit.target, &f.transcript, &offered).await?;
    let challenge = device.expect_challenge().await?;
    let digest = super::device::digest(&identify, &challenge, &password);
    logs_in(kit, f, &mut device, &identify, digest).await?;
    let answer = other.request(json!({"mt": "GetProvisionedDevice", "code": code})).await?;
    ensure(answer["error"].is_null() && answer["device"].is_null(), || format!("the code was used up: {answer}"))
}

/// A query of automatic provisioning.
fn query(domain: &str, token: &str, category: &str) -> String {
    let encode = |text: &str| {
        text.bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' => {
                    char::from(byte).to_string()
                }
                other => format!("%{other:02X}"),
            })
            .collect::<String>()
    };
    format!("category={}&token={}&domain={}&more=1", encode(category), encode(token), encode(domain))
}

async fn token(kit: &Kit, f: &mut Findings) -> Step {
    let token = kit.token.clone().unwrap_or_default();
    let good = query(&kit.domain, &token, &kit.category);
    let identify = phone(&kit.id());
    f.rule("sysclient-6-a");
    let mut device = Device::connect(&kit.target, &f.transcript, &good).await?;
    device.identify(&identify).await?;
    let password = device.expect_password().await?;
    f.rule("sysclient-5-c");
    f.rule("sysclient-3.4-i");
    let plain = open_admin_password(&device.expect(3).await?, &password).unwrap_or_default();
    let random = plain.len() == 24 && plain.bytes().all(|byte| byte.is_ascii_alphanumeric());
    ensure(random, || "not 24 letters and digits".into())?;
    f.prepare();
    drop(device);
    // The first challenge proves the password, which is tentative until then.
    let mut device = Device::connect(&kit.target, &f.transcript, &good).await?;
    device.identify(&identify).await?;
    f.rule("sysclient-6-e");
    let challenge = device.expect_challenge().await?;
    device.answer(&identify, &challenge, &password).await?;
    device.expect(3).await?;
    f.rule("sysclient-6-c");
    let mut device =
        Device::connect(&kit.target, &f.transcript, &query(&kit.domain.to_uppercase(), &token, &kit.category)).await?;
    device.identify(&phone(&kit.id())).await?;
    device.expect_password().await?;
    let mut device =
        Device::connect(&kit.target, &f.transcript, &query(&kit.domain, &token, &format!("{} x", kit.category)))
            .await?;
    device.identify(&phone(&kit.id())).await?;
    device.silent().await?;
    f.rule("sysclient-6-d");
    let mut device = Device::connect(&kit.target, &f.transcript, &query(&kit.domain, "wrong", &kit.category)).await?;
    device.identify(&phone(&kit.id())).await?;
    device.silent().await?;
    device.socket.is_open().await
}

async fn code_before_token(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let code = kit.code(&mut app).await?;
    let query = query(&kit.domain, &kit.token.clone().unwrap_or_default(), &kit.category);
    let mut device = Device::connect(&kit.target, &f.transcript, &query).await?;
    let id = kit.id();
    f.rule("sysclient-6-f");
    device.identify(&with(phone(&id), json!({"provisioningCode": code}))).await?;
    device.expect_password().await?;
    let answer = app.request(json!({"mt": "GetProvisionedDevice", "code": code})).await?;
    ensure(answer["device"]["hwId"] == id.as_str(), || answer.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded_once_and_a_plus_stays() {
        assert_eq!(query("a.b", "x#+ y", "ä"), "category=%C3%A4&token=x%23+%20y&domain=a.b&more=1");
    }
}
