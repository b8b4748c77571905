//! The one place where time comes from.
//!
//! Live, it is the system's wall clock carried forward by the monotonic one: a step of the wall clock (NTP, an
//! operator) does not make quotes look old or new; the difference is caught up slowly. In a replay it is the virtual
//! clock of the recordings, and moves only when the player moves it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// The most that one correction moves the clock; corrections come about once a second.
const SLEW: TimeDelta = TimeDelta::milliseconds(10);

/// A difference that no drift explains (the machine slept, the clock was set): taken over at once.
const STEP: TimeDelta = TimeDelta::seconds(60);

/// Tells the time. Clones tell the same time.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Source>);

#[derive(Debug)]
enum Source {
    System { started: Instant, wall: DateTime<Utc>, correction: AtomicI64 },
    Virtual(AtomicI64),
}

impl Clock {
    /// Starts from the system's time.
    pub fn system() -> Self {
        Self(Arc::new(Source::System {
            started: Instant::now(),
            wall: wall(),
            correction: AtomicI64::new(0),
        }))
    }

    /// Starts a clock that stands until it is moved.
    pub fn standing_at(time: DateTime<Utc>) -> Self {
        Self(Arc::new(Source::Virtual(AtomicI64::new(nanos(time)))))
    }

    /// Gets the time.
    pub fn now(&self) -> DateTime<Utc> {
        match &*self.0 {
            Source::System { started, wall, correction } => {
                let elapsed = TimeDelta::from_std(started.elapsed()).unwrap_or(TimeDelta::MAX);
                let correction = TimeDelta::nanoseconds(correction.load(Ordering::Relaxed));
                wall.checked_add_signed(elapsed)
                    .and_then(|now| now.checked_add_signed(correction))
                    .unwrap_or(*wall)
            }
            Source::Virtual(now) => DateTime::from_timestamp_nanos(now.load(Ordering::Acquire)),
        }
    }

    /// Moves a virtual clock forward; a clock that runs by itself takes no notice, and none ever goes back.
    pub fn advance_to(&self, time: DateTime<Utc>) {
        if let Source::Virtual(now) = &*self.0 {
            now.fetch_max(nanos(time), Ordering::Release);
        }
    }

    /// Brings a running clock a little closer to the system's. Meant to be called about once a second.
    pub fn correct(&self) {
        if let Source::System { .. } = &*self.0 {
            self.correct_towards(wall());
        }
    }

    fn correct_towards(&self, wall: DateTime<Utc>) {
        let Source::System { correction, .. } = &*self.0 else {
            return;
        };
        let difference = wall - self.now();
        let step = if difference.abs() > STEP { difference } else { difference.clamp(-SLEW, SLEW) };
        correction.fetch_add(step.num_nanoseconds().unwrap_or(0), Ordering::Relaxed);
    }
}

/// Measures how long something took, for logs and back-off; never for a price's age.
pub fn stopwatch() -> impl Fn() -> Duration {
    let started = Instant::now();
    move || started.elapsed()
}

/// Gets the time since the machine was started. It never goes back, and where the system offers such a clock it goes on
/// while the machine sleeps: what was promised until some time is over then, whatever happened in between.
pub fn uptime() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let clock = rustix::time::ClockId::Monotonic;
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "the one place where the system's clock is read")]
fn wall() -> DateTime<Utc> {
    SystemTime::now().into()
}

fn nanos(time: DateTime<Utc>) -> i64 {
    time.timestamp_nanos_opt().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_of_the_wall_clock_changes_no_age() {
        for jump in [TimeDelta::seconds(5), TimeDelta::seconds(-5)] {
            let clock = Clock::system();
            let before = clock.now();
            tokio::time::advance(Duration::from_secs(1)).await;
            clock.correct_towards(before + TimeDelta::seconds(1) + jump);
            let age = clock.now() - before;
            assert!((age - TimeDelta::seconds(1)).abs() <= SLEW, "{jump}: {age}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_lost_in_sleep_is_taken_over_at_once() {
        let clock = Clock::system();
        let before = clock.now();
        clock.correct_towards(before + TimeDelta::hours(3));
        assert!(clock.now() - before >= TimeDelta::hours(3));
    }

    #[tokio::test]
    async fn a_virtual_clock_stands_and_never_goes_back() {
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let clock = Clock::standing_at(start);
        clock.advance_to(start + TimeDelta::seconds(2));
        clock.advance_to(start + TimeDelta::seconds(1));
        assert_eq!(clock.now(), start + TimeDelta::seconds(2));
    }
}
