use super::*;
use crate::core::policy::jobs::config::Configuration;

fn settings() -> Record {
    let (password, admin_password) = (Secret::new("p"), Secret::new("a"));
    Record::Domain(Settings { password, admin_password, auto_token: Secret::default() })
}

fn category(name: &str) -> Record {
    Record::Category(CarriedCategory { name: name.into(), provisioning: true })
}

fn code(category: &str) -> Record {
    Record::Code(CarriedCode {
        code: Code::from_number(1).unwrap(),
        category: category.into(),
        sip: None,
        requester: Requester { app: "api".into(), sip: "".into() },
        rollout: true,
        administrative: true,
        valid_until: UnixMillis(1),
    })
}

fn job(id: u64, category: Option<&str>, server: &str) -> Record {
    let values = [("server".to_owned(), server.into())].into_iter().collect();
    let task = Task::Config(Configuration { kind: crate::core::policy::jobs::config::Kind::Ntp, values });
    Record::Job(CarriedJob { id: JobId(id), category: category.map(Into::into), desc: None, task })
}

fn checked(kind: Kind, records: &[Record]) -> Result<Outline, Unacceptable> {
    let mut check = Check::new(kind);
    for record in records {
        let bytes = record.write();
        assert_eq!(Record::read(&bytes).as_ref(), Ok(record));
        check.see(&bytes)?;
    }
    check.end()
}

#[test]
fn a_bundle_for_a_site_is_outlined() {
    let records =
        [settings(), category("Desk"), job(4, None, "ntp.example"), job(7, Some("Desk"), "b.example"), code("Desk")];
    let outline = checked(Kind::Site, &[&records[..], &[Record::End(5)]].concat()).unwrap();
    assert_eq!((outline.jobs.len(), outline.codes, outline.categories.len()), (2, 1, 1));
    assert!(outline.settings.is_some());
}

#[test]
fn what_is_not_acceptable_is_refused() {
    let refused = |records: &[Record]| checked(Kind::Site, records).unwrap_err();
    assert_eq!(refused(&[category("Desk"), Record::End(1)]), Unacceptable::Order);
    assert_eq!(refused(&[settings(), settings()]), Unacceptable::Order);
    assert_eq!(refused(&[settings()]), Unacceptable::Order);
    assert_eq!(refused(&[settings(), code("Desk")]), Unacceptable::NoCategory);
    assert_eq!(refused(&[settings(), job(1, Some("Desk"), "a")]), Unacceptable::NoCategory);
    assert_eq!(refused(&[settings(), category("Desk"), category("Desk")]), Unacceptable::Value("a category"));
    assert_eq!(refused(&[settings(), category("a,b")]), Unacceptable::Value("a category"));
    assert_eq!(refused(&[settings(), job(2, None, "a"), job(2, None, "b")]), Unacceptable::Order);
    assert_eq!(refused(&[settings(), job(2, None, "")]), Unacceptable::Value("a job"));
    assert_eq!(refused(&[settings(), category("Desk"), code("Desk"), job(1, None, "a")]), Unacceptable::Order);
    assert_eq!(refused(&[settings(), Record::End(2)]), Unacceptable::Count(1, 2));
    assert_eq!(refused(&[settings(), Record::End(1), category("Desk")]), Unacceptable::Order);
    let used = UsedCode { code: Code::from_number(1).unwrap(), device: DeviceKey::parse("x").unwrap(), port: None };
    assert_eq!(refused(&[settings(), Record::Used(used.clone())]), Unacceptable::Order);
    let bad = Record::Used(UsedCode { port: Some("a\nb".into()), ..used.clone() });
    assert_eq!(checked(Kind::Results, &[bad]), Err(Unacceptable::Value("a port")));
    assert_eq!(checked(Kind::Results, &[Record::Used(used), Record::End(1)]).unwrap().used, 1);
    for bytes in [&b""[..], b"{}", br#"{"is":"later","of":1}"#, br#"{"is":"end"}"#, b"[1]"] {
        assert_eq!(Check::new(Kind::Site).see(bytes), Err(Unacceptable::Unreadable));
    }
}
