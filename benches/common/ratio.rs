//! Two contenders in turns, and what the ratio of the two is worth.
//!
//! Machines are shared and noisy: what is firm is the ratio of two runs that follow each other closely.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use rustix::time::{ClockId, clock_gettime};

/// How long each side has the processor in a round.
const TURN: Duration = Duration::from_millis(60);

/// A ratio, and the interval in which its median lies with a confidence of 95 %.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Ratio {
    /// Takes a number that was measured once.
    pub(crate) fn exactly(number: f64) -> Self {
        Self { median: number, low: number, high: number }
    }

    /// Finds the median and its interval, by drawing from the ratios again and again.
    pub(crate) fn of(ratios: &[f64]) -> Self {
        const DRAWS: usize = 2_000;
        let mut random = SmallRng::seed_from_u64(1);
        let mut medians: Vec<f64> = (0..DRAWS)
            .map(|_| {
                let drawn: Vec<f64> =
                    ratios.iter().map(|_| ratios[random.random_range(0..ratios.len())]).collect();
                median(&drawn)
            })
            .collect();
        medians.sort_by(f64::total_cmp);
        Self { median: median(ratios), low: medians[DRAWS / 40], high: medians[DRAWS - 1 - DRAWS / 40] }
    }
}

/// Finds the middle of some numbers.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

/// Runs both in turns; gives how many times as fast the first is, and what each takes in nanoseconds.
pub(crate) fn compare(rounds: usize, mut ours: impl FnMut(), mut theirs: impl FnMut()) -> (Ratio, f64, f64) {
    let mut turns: [Vec<f64>; 2] = Default::default();
    turn(&mut ours);
    turn(&mut theirs);
    for round in 0..rounds {
        let [first, second] = &mut turns;
        if round % 2 == 0 {
            first.push(turn(&mut ours));
            second.push(turn(&mut theirs));
        } else {
            second.push(turn(&mut theirs));
            first.push(turn(&mut ours));
        }
    }
    let [ours, theirs] = turns;
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| theirs / ours).collect();
    (Ratio::of(&ratios), median(&ours), median(&theirs))
}

fn turn(work: &mut impl FnMut()) -> f64 {
    let began = thread_time();
    let mut count = 0_u32;
    while thread_time().saturating_sub(began) < TURN {
        for _ in 0..10 {
            work();
        }
        count += 10;
    }
    thread_time().saturating_sub(began).as_nanos() as f64 / f64::from(count)
}

/// Gets the processor time of this thread: others may want the processor, too.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}
