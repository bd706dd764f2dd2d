//! Arrival times of devices: an open-loop schedule, fixed before the run, independent of the server.
//!
//! Pure: times are microseconds since the start of the run; random numbers come from a seed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Distribution of arrivals over time. Rates are arrivals per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Arrival {
    /// `at-once`: all at the start.
    AtOnce,
    /// `constant:RATE`: at equal intervals.
    Constant(f64),
    /// `poisson:RATE`: independently of each other.
    Poisson(f64),
    /// `ramp:FROM-TO:SECONDS`: the rate grows linearly, then stays constant.
    Ramp {
        /// Rate at the start.
        from: f64,
        /// Rate at the end.
        to: f64,
        /// Length of the growth.
        seconds: f64,
    },
}

impl Arrival {
    /// The sorted times of this many arrivals in microseconds.
    pub fn schedule(self, arrivals: usize, seed: u64) -> Vec<u64> {
        let mut random = Random(seed);
        let mut sum = 0.0;
        (0..arrivals)
            .map(|number| {
                // Exact: far below 2^53.
                #[allow(clippy::cast_precision_loss)]
                let number = number as f64;
                micros(match self {
                    Self::AtOnce => 0.0,
                    Self::Constant(rate) => number / rate,
                    Self::Poisson(rate) => {
                        sum += random.exponential() / rate;
                        sum
                    }
                    Self::Ramp { from, to, seconds } => ramp(number, from, to, seconds),
                })
            })
            .collect()
    }
}

/// Time of the arrival with this number: the integral of the rate reaches it.
fn ramp(number: f64, from: f64, to: f64, seconds: f64) -> f64 {
    let grown = f64::midpoint(from, to) * seconds;
    if number >= grown {
        return seconds + (number - grown) / to;
    }
    let slope = (to - from) / seconds;
    if slope.abs() < 1e-9 {
        return number / from;
    }
    ((from * from + 2.0 * slope * number).max(0.0).sqrt() - from) / slope
}

// A time is neither negative nor longer than centuries.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}

/// `SplitMix64`: good enough for intervals between arrivals, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Exponentially distributed with mean 1.
    fn exponential(&mut self) -> f64 {
        // Uses the 53 bits that a float holds; never 0.
        #[allow(clippy::cast_precision_loss)]
        let uniform = ((self.next() >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        -uniform.ln()
    }
}

impl FromStr for Arrival {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rate = |text: &str| text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
        let arrival = match *text.split(':').collect::<Vec<_>>() {
            ["at-once"] => Some(Self::AtOnce),
            ["constant", at] => rate(at).map(Self::Constant),
            ["poisson", at] => rate(at).map(Self::Poisson),
            ["ramp", rates, seconds] => rates
                .split_once('-')
                .zip(rate(seconds))
                .and_then(|((from, to), seconds)| Some(Self::Ramp { from: rate(from)?, to: rate(to)?, seconds })),
            _ => None,
        };
        arrival.ok_or_else(|| "write at-once, constant:RATE, poisson:RATE or ramp:FROM-TO:SECONDS".into())
    }
}

impl TryFrom<String> for Arrival {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce => f.write_str("at-once"),
            Self::Constant(rate) => write!(f, "constant:{rate}"),
            Self::Poisson(rate) => write!(f, "poisson:{rate}"),
            Self::Ramp { from, to, seconds } => write!(f, "ramp:{from}-{to}:{seconds}"),
        }
    }
}

impl From<Arrival> for String {
    fn from(arrival: Arrival) -> Self {
        arrival.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(text: &str, arrivals: usize) -> Vec<u64> {
        text.parse::<Arrival>().unwrap().schedule(arrivals, 7)
    }

    #[test]
    fn all_at_once_and_evenly() {
        assert_eq!(schedule("at-once", 3), [0, 0, 0]);
        assert_eq!(schedule("constant:4", 3), [0, 250_000, 500_000]);
    }

    #[test]
    fn poisson_keeps_its_rate_and_its_spread() {
        let times = schedule("poisson:1000", 20_000);
        assert!(times.is_sorted());
        let last = *times.last().unwrap();
        assert!((19_400_000..20_600_000).contains(&last), "{last}");
        // In an exponential distribution a fraction of 1/e of the intervals is longer than the mean.
        let long = times.windows(2).filter(|pair| pair[1] - pair[0] > 1000).count();
        assert!((7000..7700).contains(&long), "{long}");
        assert_eq!(times, schedule("poisson:1000", 20_000), "the same seed, another schedule");
    }

    #[test]
    fn a_ramp_grows_and_then_stays() {
        // 100 to 300 a second over 10 s: 2000 arrivals, 750 of them in the first half; then 300 a second.
        let times = schedule("ramp:100-300:10", 2301);
        assert_eq!(times[0], 0);
        assert_eq!(times[750], 5_000_000);
        assert_eq!(times[2000], 10_000_000);
        assert_eq!(times[2300], 11_000_000);
        assert!(times.is_sorted());
        assert_eq!(schedule("ramp:10-10:5", 2)[1], 100_000);
        assert!(schedule("ramp:300-100:10", 2500).is_sorted());
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["at-once", "constant:0.5", "poisson:2000", "ramp:1-500:30"] {
            assert_eq!(text.parse::<Arrival>().unwrap().to_string(), text);
        }
        for text in ["", "constant", "constant:0", "poisson:-1", "ramp:1:2", "ramp:1-inf:2", "at-once:1"] {
            assert!(text.parse::<Arrival>().is_err(), "{text}");
        }
    }
}
