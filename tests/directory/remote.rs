//! The client of a remote directory against the real routes, and against other servers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use provbroker::core::model::ids::Secret;
use provbroker::directory::{
    Directory as _, DirectoryError, DirectorySettings, MAX_WAIT, RemoteDirectory, SettingsError,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{ADDRESS, CREDENTIAL, OTHER_CREDENTIAL, Running, START, settings, start, start_with};

fn client(directory: &Running, credential: &str, address: &str) -> RemoteDirectory {
    let base = format!("http://{}/api/v1", directory.at);
    RemoteDirectory::new(&base, Some(&Secret::new(credential)), address, MAX_WAIT).unwrap()
}

#[actix_web::test]
async fn a_remote_directory_does_what_a_local_one_does() {
    let directory = start();
    let remote = client(&directory, CREDENTIAL, ADDRESS);
    let issued = remote.issue(false, "k1").await.unwrap();
    assert_eq!(issued.valid_until.0, START + 600_000);
    assert_eq!(remote.issue(false, "k1").await, Ok(issued));
    assert_eq!(remote.issue(true, "k1").await, Err(DirectoryError::IdempotencyConflict));
    assert_eq!(remote.issue(true, "k2").await.unwrap().valid_until.0, START + 7 * 86_400_000);
    assert_eq!(directory.store.state().codes[&issued.code].0, ADDRESS);
    client(&directory, OTHER_CREDENTIAL, ADDRESS).give_back(issued.code).await.unwrap();
    assert_eq!(directory.store.state().codes.len(), 2);
    remote.give_back(issued.code).await.unwrap();
    assert_eq!(directory.store.state().codes.len(), 1);
}

#[actix_web::test]
async fn every_refusal_has_its_error() {
    let limited = DirectorySettings { codes_per_second: 1, ..settings() };
    let directory = start_with(limited);
    let remote = client(&directory, CREDENTIAL, ADDRESS);
    let code = remote.issue(false, "k1").await.unwrap().code;
    let busy = DirectoryError::RateLimited { retry_after: Duration::from_secs(1) };
    assert_eq!(remote.issue(false, "k2").await, Err(busy));

    let unassigned_device = client(&directory, "wrong", ADDRESS);
    assert_eq!(unassigned_device.issue(false, "k").await, Err(DirectoryError::Unauthorized));
    assert_eq!(unassigned_device.give_back(code).await, Err(DirectoryError::Unauthorized));
    let nobody = RemoteDirectory::new(&format!("http://{}/api/v1/", directory.at), None, ADDRESS, MAX_WAIT).unwrap();
    assert_eq!(nobody.issue(false, "k").await, Err(DirectoryError::Unauthorized));

    let astray = client(&directory, CREDENTIAL, "wss://h/elsewhere");
    let refused = DirectoryError::Refused("url does not end with /sysclients".into());
    assert_eq!(astray.issue(false, "k").await, Err(refused));
    assert!(matches!(remote.issue(false, "two\nlines").await, Err(DirectoryError::Refused(_))));

    directory.store.down.store(true, Ordering::SeqCst);
    let down = Err(DirectoryError::Unavailable("answered 503 Service Unavailable".into()));
    assert_eq!(remote.issue(false, "k3").await, down);
    assert_eq!(remote.give_back(code).await, down.map(|_| ()));
}

/// Accepts one connection at a time, reads a request and answers `answer`; or nothing, if there is none.
async fn impostor(answer: Option<String>) -> RemoteDirectory {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}/api/v1", listener.local_addr().unwrap());
    let max_wait = if answer.is_some() { MAX_WAIT } else { Duration::from_millis(300) };
    actix_web::rt::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            if let Some(answer) = &answer {
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
            kept.push(stream);
        }
    });
    RemoteDirectory::new(&base, Some(&Secret::new(CREDENTIAL)), ADDRESS, max_wait).unwrap()
}

/// The directory may be run by somebody else: of Devices it learns the address, and how long the code is wanted.
#[actix_web::test]
async fn devices_tells_the_directory_its_address_and_nothing_else() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}/api/v1", listener.local_addr().unwrap());
    let remote = RemoteDirectory::new(&base, Some(&Secret::new(CREDENTIAL)), ADDRESS, MAX_WAIT).unwrap();
    let read = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        loop {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0, "it ends too early");
            let text = String::from_utf8(request.clone()).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let Ok(body) = serde_json::from_str::<serde_json::Value>(body) else { continue };
            return (head.to_lowercase(), body);
        }
    };
    let (answer, (head, body)) = tokio::join!(remote.issue(true, "key-of-the-request"), read);
    assert!(answer.is_err(), "nobody has answered");
    assert_eq!(body, serde_json::json!({"url": ADDRESS, "rollout": true}));
    let mut names: Vec<&str> = head.lines().skip(1).map(|line| line.split(':').next().unwrap()).collect();
    names.retain(|name| !["host", "accept", "accept-encoding", "connection", "user-agent"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["authorization", "content-length", "content-type", "idempotency-key"]);
}

#[actix_web::test]
async fn other_servers_count_as_unavailable() {
    let http = |status: &str, body: &str| {
        Some(format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    };
    for (answer, why) in [
        (None, "no answer in time"),
        (Some("garbage\r\n\r\n".to_owned()), "no connection"),
        (http("201 Created", "{}"), "unreadable answer"),
        (http("201 Created", r#"{"code":"12","validUntil":1}"#), "unreadable answer"),
        (http("201 Created", r#"{"code":"402817739164","validUntil":"soon"}"#), "unreadable answer"),
        (http("201 Created", &"x".repeat(5000)), "answer too long"),
        (http("200 OK", r#"{"code":"402817739164","validUntil":1}"#), "answered 200 OK"),
        (http("302 Found\r\nLocation: http://127.0.0.1:1/", ""), "answered 302 Found"),
    ] {
        let remote = impostor(answer).await;
        assert_eq!(remote.issue(false, "k").await, Err(DirectoryError::Unavailable(why.into())));
    }
}

#[actix_web::test]
async fn an_unreachable_directory_is_unavailable() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let remote = RemoteDirectory::new(&base, None, ADDRESS, MAX_WAIT).unwrap();
    assert_eq!(remote.issue(false, "k").await, Err(DirectoryError::Unavailable("no connection".into())));
}

#[test]
fn credentials_travel_by_https_only() {
    let new = |base: &str, credential: &str| {
        RemoteDirectory::new(base, Some(&Secret::new(credential)), ADDRESS, MAX_WAIT).map(|_| ())
    };
    assert_eq!(new("https://config.example.org/api/v1", "c"), Ok(()));
    assert_eq!(new("http://[::1]:8080/api/v1", "c"), Ok(()));
    assert_eq!(new("http://config.example.org/api/v1", "c"), Err(SettingsError::Base("is not https")));
    assert_eq!(new("config.example.org", "c"), Err(SettingsError::Base("not a valid address")));
    assert_eq!(new("https://h/?x=", "c"), Err(SettingsError::Base("has a query or a fragment")));
    assert_eq!(new("https://h/", "a\nb"), Err(SettingsError::Credential));
    let debug = format!("{:?}", RemoteDirectory::new("https://h/", Some(&Secret::new("letmein")), ADDRESS, MAX_WAIT));
    assert!(!debug.contains("letmein"), "{debug}");
}
