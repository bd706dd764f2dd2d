//! `loadtest phones`: the phones of a roll-out, one per code of a list, each types its own code.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use futures_util::StreamExt as _;
use futures_util::stream::{self, SelectAll};
use provbroker::core::model::ids::{Code, HardwareId, mac_digits};
use provbroker::sim::phone::{Phone, PhoneEvent, PhoneOptions};
use provbroker::sim::transport::http_client;

use crate::terminal::typed_code;

/// Most phones: each has a connection, and a process may have 20 000 of them.
const MOST: usize = 10_000;

#[derive(Args)]
pub struct Arguments {
    #[arg(long, value_name = "URL", help = "Update address, such as http://127.0.0.1:8080/init")]
    init_url: String,
    /// List of codes as downloaded: CSV with a column `code`
    #[arg(long, value_name = "FILE")]
    codes: PathBuf,
    /// MAC address of the first phone; the others follow consecutively
    #[arg(long, default_value = "009033500000", value_parser = first_address)]
    mac: u64,
    /// Product name
    #[arg(long, default_value = "IP112")]
    product: String,
    /// Seconds that stand for one minute of the poll intervals
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    poll: f64,
    /// Exit when all phones are members of a domain
    #[arg(long)]
    once: bool,
}

fn first_address(text: &str) -> Result<u64, String> {
    let digits = mac_digits(text).ok_or("a MAC address has twelve hexadecimal digits")?;
    u64::from_str_radix(&digits, 16).map_err(|error| error.to_string())
}

/// Reads the codes of a list, skipping lines without one.
fn codes(file: &Path) -> anyhow::Result<Vec<Code>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("--codes {}", file.display()))?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let column = reader.headers()?.iter().position(|title| title.trim().eq_ignore_ascii_case("code"));
    let column = column.with_context(|| format!("--codes {}: there is no column `code`", file.display()))?;
    let mut codes = Vec::new();
    for record in reader.records() {
        let record = record?;
        let (line, cell) = (record.position().map_or(0, csv::Position::line), record.get(column).unwrap_or_default());
        if !cell.is_empty() {
            codes.push(typed_code(cell).map_err(|why| anyhow::anyhow!("line {line}: {why}"))?);
        }
    }
    Ok(codes)
}

/// Runs until interrupted, or with `--once` until all phones are members.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    ensure!(arguments.poll.is_finite() && arguments.poll >= 0.01, "--poll must be at least 0.01 seconds");
    let minute = Duration::try_from_secs_f64(arguments.poll).context("--poll is too long")?;
    let codes = codes(&arguments.codes)?;
    ensure!(!codes.is_empty(), "--codes: there is no code in the list");
    ensure!(codes.len() <= MOST, "--codes: more than {MOST} codes");
    let http = http_client()?;
    let (mut phones, mut events) = (Vec::new(), SelectAll::new());
    for (number, _) in codes.iter().enumerate() {
        let mac = format!("{:012x}", (arguments.mac + number as u64) & 0xffff_ffff_ffff);
        let options = PhoneOptions {
            product: arguments.product.as_str().into(),
            init_url: Some(arguments.init_url.clone()),
            minute,
            ..PhoneOptions::new(HardwareId::parse(&mac)?)
        };
        let (phone, its_events) = Phone::start(options, http.clone())?;
        phones.push(phone);
        events.push(Box::pin(stream::unfold(its_events, move |mut events| async move {
            Some(((number, events.recv().await?), events))
        })));
    }
    let (mut typed, mut members) = (vec![false; codes.len()], vec![false; codes.len()]);
    println!("{} phones", codes.len());
    loop {
        tokio::select! {
            event = events.next() => match event.context("the phones have stopped")? {
                (number, PhoneEvent::FormShown) if !typed[number] => {
                    typed[number] = true;
                    phones[number].type_code(codes[number]).await;
                }
                (number, PhoneEvent::FormShown) if arguments.once => bail!("the code of phone {number} was not accepted"),
                (number, PhoneEvent::Member(_)) if !members[number] => {
                    members[number] = true;
                    let count = members.iter().filter(|member| **member).count();
                    if count % 50 == 0 || count == codes.len() {
                        println!("{count} of {} are members", codes.len());
                    }
                    if arguments.once && count == codes.len() {
                        break;
                    }
                }
                _ => {}
            },
            result = tokio::signal::ctrl_c() => {
                result.context("cannot wait for an interrupt")?;
                ensure!(!arguments.once, "interrupted before all phones were members");
                break;
            }
        }
    }
    for phone in phones {
        phone.stop().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_from_a_list() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("codes.csv");
        std::fs::write(&file, "sip,name,code\r\nanna,\"Berg, Anna\",4028 1773 9164\r\nben,Ben,\r\n").unwrap();
        assert_eq!(codes(&file).unwrap(), [Code::parse("402817739164").unwrap()]);
        std::fs::write(&file, "sip,code\nanna,12\n").unwrap();
        assert!(codes(&file).unwrap_err().to_string().contains("line 2"));
        std::fs::write(&file, "sip\nanna\n").unwrap();
        assert!(codes(&file).unwrap_err().to_string().contains("no column"));
        assert_eq!(first_address("00-90-33-50-00-00"), Ok(0x0090_3350_0000));
    }
}
