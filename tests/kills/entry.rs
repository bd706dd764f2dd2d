//! A device disconnects at every byte of its entry and reconnects; two devices bring the same code.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures_util::future::join;
use futures_util::stream::{self, StreamExt as _};
use tokio::time::timeout;

use super::broker::{Keep, Process};
use super::device::{Answer, Device, admin_password, quiet, receive};
use super::run;
use super::users::{Learned, Users};
use super::wire::{Frame, Result, Wire, frame, upgrade};

/// A device that is not a member after this time counts as stuck: less than the validity of a challenge, more than the
/// second for which this broker waits for its answer.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// Devices at the same time.
const AT_ONCE: usize = 24;

/// Bytes between two cuts; the messages of an entry are longer than this.
const STRIDE: usize = 3;

/// Races for a code.
const RACES: usize = 200;

const PATH: &str = "/sysclients";

/// Where a device disconnects.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// After this many bytes of its upgrade and identify were sent.
    Sent(usize),
    /// After this many bytes of the answers were read: the upgrade, `0001`, `0003`.
    Read(usize),
    /// It has entered and reconnects; after this many bytes of that were sent.
    SentBack(usize),
    /// It has reconnected and answered the challenge, and has read nothing more.
    Answered,
}

/// Number of bytes that a device sends and reads when it enters, and that it sends when it reconnects.
struct Lengths {
    sent: usize,
    read: usize,
    sent_back: usize,
}

impl Lengths {
    async fn of_an_entry(broker: &Process, code: &str) -> Self {
        let mut device = Device::new(0, code);
        let sent = upgrade(PATH).len() + frame(2, &device.identify(true, None)).len();
        let mut wire = Wire::connect(broker.addr).await.unwrap();
        wire.write(&hello(&device, true)).await.unwrap();
        let head = wire.head().await.unwrap().len();
        let password = device.answer(&mut wire).await.unwrap();
        assert!(matches!(password, Answer::Password(_)));
        admin_password(&mut wire).await.unwrap();
        let sent_back = upgrade(PATH).len() + frame(2, &device.identify(false, None)).len();
        Self { sent, read: head + wire.framed, sent_back }
    }

    fn cuts(&self) -> Vec<Cut> {
        // The last byte, and everything that was sent, are separate cuts.
        let sent = (0..self.sent).step_by(STRIDE).chain([self.sent - 1, self.sent]).map(Cut::Sent);
        let read = (1..self.read).step_by(STRIDE).chain([self.read]).map(Cut::Read);
        let back = (0..self.sent_back).step_by(STRIDE).chain([self.sent_back]).map(Cut::SentBack);
        sent.chain(read).chain(back).chain([Cut::Answered]).collect()
    }
}

/// Upgrade and identify in one piece.
fn hello(device: &Device, code: bool) -> Vec<u8> {
    [upgrade(PATH).as_bytes(), &frame(2, &device.identify(code, None))].concat()
}

/// Goes as far as the cut. A password that was read completely is kept, unless the device is `forgetful`.
async fn go(device: &mut Device, broker: &Process, cut: Cut, forgetful: bool) -> Result<()> {
    match cut {
        Cut::Sent(bytes) => {
            let mut wire = Wire::connect(broker.addr).await?;
            wire.write(&hello(device, true)[..bytes]).await?;
            end(wire, forgetful);
        }
        Cut::Read(bytes) => {
            let mut wire = Wire::connect(broker.addr).await?;
            wire.write(&hello(device, true)).await?;
            wire.take(bytes).await?;
            end(wire, forgetful);
        }
        Cut::SentBack(bytes) => {
            drop(device.enter(broker.addr, None).await?);
            let mut wire = Wire::connect(broker.addr).await?;
            wire.write(&hello(device, false)[..bytes]).await?;
            end(wire, forgetful);
        }
        Cut::Answered => {
            drop(device.enter(broker.addr, None).await?);
            let mut wire = device.come(broker.addr, None).await?;
            let Answer::Challenge(challenge) = device.answer(&mut wire).await? else { panic!("not a new device") };
            wire.send(2, &device.identify(false, Some(&challenge))).await?;
            end(wire, forgetful);
        }
    }
    // It loses power before it stores the password: possible until it has answered a challenge with it.
    if forgetful && !matches!(cut, Cut::Answered) {
        device.password = None;
    }
    Ok(())
}

/// Ends with a reset, or regularly.
fn end(wire: Wire, hard: bool) {
    if hard { wire.reset() } else { drop(wire) }
}

fn drop_everywhere(keep: &Keep) {
    let broker = keep.start(&[]);
    run(async {
        let mut learned = Learned::default();
        let mut users = Users::login(broker.addr).await.unwrap();
        let first = users.code(&mut learned).await.unwrap();
        let cuts = Lengths::of_an_entry(&broker, &first).await.cuts();
        let mut tries = Vec::new();
        for cut in cuts {
            for forgetful in [false, true] {
                let code = users.code(&mut learned).await.unwrap();
                tries.push((Device::new(tries.len() as u64 + 1, &code), cut, forgetful));
            }
        }
        // Notices are not tested here, and a silent Users would be closed.
        drop(users);
        let all = tries.len();
        let back = stream::iter(tries).map(|(mut device, cut, forgetful)| {
            let broker = &broker;
            async move {
                go(&mut device, broker, cut, forgetful).await.unwrap_or_else(|gone| panic!("{cut:?}: {gone:?}"));
                let came = timeout(MAX_WAIT, device.come_in(broker.addr)).await;
                (device, cut, came.ok().map(|(_, way)| way))
            }
        });
        let back: Vec<_> = back.buffer_unordered(AT_ONCE).collect().await;
        let stuck: Vec<_> = back.iter().filter(|(_, _, way)| way.is_none()).map(|(_, cut, _)| cut).collect();
        let by_code = back.iter().filter(|(_, _, way)| way.is_some_and(|way| way.by_code)).count();
        let in_vain: u64 = back.iter().filter_map(|(_, _, way)| way.map(|way| way.in_vain)).sum();
        println!("{all} cuts, {by_code} in by code, {in_vain} times asked in vain, stuck {stuck:?}");
        assert!(stuck.is_empty(), "{stuck:?}");
        let mut users = Users::login(broker.addr).await.unwrap();
        for (device, cut, _) in &back {
            let by = users.device(&device.code, &mut learned).await.unwrap();
            assert_eq!(by.as_ref(), Some(&device.id), "{cut:?}");
        }
    });
}

#[test]
fn a_device_that_drops_anywhere_comes_back_on_the_embedded_store() {
    drop_everywhere(&Keep::embedded());
}

#[test]
fn a_device_that_drops_anywhere_comes_back_on_redis() {
    drop_everywhere(&Keep::redis());
}

/// Whether the device was let in.
async fn try_code(device: &mut Device, broker: &Process, from: IpAddr) -> bool {
    let mut wire = Wire::open_from(from, broker.addr, PATH, None).await.unwrap();
    wire.send(2, &device.identify(true, None)).await.unwrap();
    wire.send(9, b"fence").await.unwrap();
    match wire.next().await.unwrap() {
        Frame::Pong => {
            // A late message would arrive before the next fence.
            quiet(&mut wire).await.unwrap();
            false
        }
        Frame::Binary(message) => {
            assert_eq!(message[..3], [1, 0, 1], "the only word for somebody who is not in is silence");
            assert_eq!(receive(&mut wire).await.unwrap().kind, 3);
            true
        }
        other => panic!("{other:?}"),
    }
}

fn race(keep: &Keep) {
    let broker = keep.start(&[]);
    run(async {
        let mut learned = Learned::default();
        let mut users = Users::login(broker.addr).await.unwrap();
        let mut winners = BTreeSet::new();
        for race in 0..RACES as u64 {
            let code = users.code(&mut learned).await.unwrap();
            let (mut one, mut two) = (Device::new(2 * race, &code), Device::new(2 * race + 1, &code));
            // The code of the second one is bad, and sixty bad ones of an address are decided slowly.
            let from = |half: u8| {
                IpAddr::V4(Ipv4Addr::from_bits(0x7f00_0001 | u32::from(half) << 20 | u32::try_from(race).unwrap() << 4))
            };
            let (first, second) =
                join(try_code(&mut one, &broker, from(1)), try_code(&mut two, &broker, from(2))).await;
            assert!(first != second, "exactly one enters: {first} {second}");
            let winner = if first { one.id } else { two.id };
            assert_eq!(users.device(&code, &mut learned).await.unwrap().as_ref(), Some(&winner));
            winners.insert(winner);
        }
        assert_eq!(winners.len(), RACES);
    });
}

#[test]
fn of_two_devices_with_one_code_one_enters_on_the_embedded_store() {
    race(&Keep::embedded());
}

#[test]
fn of_two_devices_with_one_code_one_enters_on_redis() {
    race(&Keep::redis());
}
