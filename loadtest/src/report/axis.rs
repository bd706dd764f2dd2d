//! Axes of plots: positions of values, and round numbers as ticks.

/// Desired number of steps.
const STEPS: f64 = 5.0;

/// Ratio of highest to lowest value from which the scale is logarithmic.
const WIDE: f64 = 100.0;

/// Percentiles with more nines than this are drawn at this position.
const MOST_NINES: f64 = 8.0;

/// Ticks of an axis of percentiles.
const PERCENTILES: [f64; 7] = [50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999];

/// The scale of an axis.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    Differences,
    Factors,
    /// Equal length for each further nine of a percentile: 90, 99, 99.9.
    Nines,
}

/// An axis; positions run from 0 at its start to 1 at its end.
pub struct Axis {
    from: f64,
    to: f64,
    scale: Scale,
    /// Ticks, ascending.
    pub ticks: Vec<f64>,
}

impl Axis {
    /// From 0 to exactly the highest value: for time.
    pub fn up_to(highest: f64) -> Self {
        let to = if highest > 0.0 { highest } else { 1.0 };
        Self { from: 0.0, to, scale: Scale::Differences, ticks: multiples(step(to), to) }
    }

    /// From 0 to the next round number: for quantities.
    pub fn beyond(highest: f64) -> Self {
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let step = step(highest);
        let to = (highest / step - 1e-9).ceil() * step;
        Self { from: 0.0, to, scale: Scale::Differences, ticks: multiples(step, to) }
    }

    /// From 0, or logarithmic if the values need it. A logarithmic axis draws 0 at its start.
    pub fn fitting(values: impl Iterator<Item = f64> + Clone) -> Self {
        let highest = values.clone().fold(0.0, f64::max);
        let lowest = values.filter(|value| *value > 0.0).fold(highest, f64::min);
        if lowest <= 0.0 || highest / lowest <= WIDE { Self::beyond(highest) } else { Self::factors(lowest, highest) }
    }

    /// An axis of percentiles, 0 to 100, as far as the highest needs; the 100th is drawn slightly after the one
    /// before.
    pub fn percentiles(values: impl Iterator<Item = f64> + Clone) -> Self {
        let below = values.clone().filter(|value| *value < 100.0).map(nines).fold(0.0, f64::max);
        let mut ticks: Vec<f64> = PERCENTILES.into_iter().filter(|tick| nines(*tick) <= below).collect();
        let mut to = below.max(1.0);
        if values.fold(0.0, f64::max) >= 100.0 {
            ticks.push(100.0);
            to += 0.7;
        }
        Self { from: 0.0, to, scale: Scale::Nines, ticks }
    }

    /// Whether it is logarithmic.
    pub fn is_logarithmic(&self) -> bool {
        self.scale == Scale::Factors
    }

    /// Position of a value, 0 to 1.
    pub fn at(&self, value: f64) -> f64 {
        let at = match self.scale {
            Scale::Differences => (value - self.from) / (self.to - self.from),
            Scale::Factors => (value.max(self.from) / self.from).log10() / (self.to / self.from).log10(),
            // The 100th percentile has infinitely many nines: draw it at the end.
            Scale::Nines if value >= 100.0 => 1.0,
            Scale::Nines => nines(value) / self.to,
        };
        at.clamp(0.0, 1.0)
    }

    fn factors(lowest: f64, highest: f64) -> Self {
        let candidates = (-7..=16).flat_map(|power| [1.0, 2.0, 5.0].map(|lead| lead * 10_f64.powi(power)));
        let from = candidates.clone().take_while(|tick| *tick <= lowest).last().unwrap_or(lowest);
        let to = candidates.clone().find(|tick| *tick >= highest).unwrap_or(highest);
        let within = |tick: &f64| (from..=to).contains(tick);
        let mut ticks: Vec<f64> = (-7..=16).map(|power| 10_f64.powi(power)).filter(within).collect();
        if ticks.len() < 3 {
            ticks = candidates.filter(within).collect();
        }
        Self { from, to, scale: Scale::Factors, ticks }
    }
}

/// Number of nines of a percentile below 100: 1 for 90, 2 for 99.
fn nines(percentile: f64) -> f64 {
    (-(1.0 - percentile / 100.0).log10()).clamp(0.0, MOST_NINES)
}

/// A step of 1, 2 or 5 times a power of ten.
fn step(highest: f64) -> f64 {
    let rough = highest / STEPS;
    let power = 10_f64.powi(floor_log10(rough));
    [1.0, 2.0, 5.0, 10.0].map(|lead| lead * power).into_iter().find(|step| *step >= rough * 0.999).unwrap_or(rough)
}

// The logarithm of a value between 1e-6 and 1e15 is small.
#[allow(clippy::cast_possible_truncation)]
fn floor_log10(value: f64) -> i32 {
    value.log10().floor() as i32
}

fn multiples(step: f64, to: f64) -> Vec<f64> {
    (0..=12).map(|index| f64::from(index) * step).take_while(|tick| *tick <= to * 1.000_001).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_round(tick: f64) -> bool {
        let lead = tick / 10_f64.powi(floor_log10(tick * 1.000_001));
        // Multiples of a round step have at most two significant digits.
        (lead * 10.0 - (lead * 10.0).round()).abs() < 1e-6
    }

    #[test]
    fn ticks_are_round_and_few() {
        for highest in [1e-6, 0.003, 0.7, 1.0, 3.12, 9.99, 17.0, 5_821.0, 18_000.0, 123_456_789.0, 1e15] {
            for axis in
                [Axis::up_to(highest), Axis::beyond(highest), Axis::fitting([highest / 5e4, highest].into_iter())]
            {
                assert!((3..=12).contains(&axis.ticks.len()), "{highest}: {:?}", axis.ticks);
                for tick in axis.ticks.iter().filter(|tick| **tick > 0.0) {
                    assert!(is_round(*tick), "{highest}: {tick}");
                    assert!((0.0..=1.0).contains(&axis.at(*tick)));
                }
            }
        }
    }

    #[test]
    fn the_highest_value_has_room() {
        assert!(Axis::beyond(5_821.0).at(5_821.0) < 1.0);
        assert_eq!(Axis::beyond(6_000.0).ticks.last(), Some(&6_000.0));
        assert!((Axis::up_to(3.12).at(3.12) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_wide_range_is_drawn_by_factors() {
        assert!(!Axis::fitting([10.0, 900.0].into_iter()).is_logarithmic());
        let axis = Axis::fitting([1.0, 900.0, 0.0].into_iter());
        assert!(axis.is_logarithmic());
        assert_eq!(axis.ticks, [1.0, 10.0, 100.0, 1000.0]);
        assert!(axis.at(0.0).abs() < 1e-9, "nothing is drawn at the foot");
        assert!((axis.at(10.0) - axis.at(1.0) - axis.at(100.0) + axis.at(10.0)).abs() < 1e-9);
    }

    #[test]
    fn each_nine_of_a_percentile_takes_as_much_room() {
        let axis = Axis::percentiles([50.0, 99.99, 100.0].into_iter());
        assert_eq!(axis.ticks, [50.0, 90.0, 99.0, 99.9, 99.99, 100.0]);
        assert!((axis.at(99.0) - axis.at(90.0) - axis.at(99.9) + axis.at(99.0)).abs() < 1e-9);
        assert!(axis.at(99.99) < axis.at(100.0) && axis.at(100.0) <= 1.0);
        assert!(Axis::percentiles([99.999_999_999_999].into_iter()).at(99.999_999_999_999).is_finite());
    }

    #[test]
    fn nothing_to_draw_still_makes_an_axis() {
        for axis in [Axis::up_to(0.0), Axis::beyond(0.0), Axis::fitting(std::iter::empty())] {
            assert!(axis.at(0.0).is_finite() && axis.at(1.0).is_finite());
            assert!(axis.ticks.len() > 2);
        }
    }
}
