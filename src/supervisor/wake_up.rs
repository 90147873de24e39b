//! Whether waking the other side up hands over the processor.
//!
//! For one target it always should: target and supervisor take turns, and the switch on the same
//! processor is several times faster than waking another one. Several busy targets can keep the
//! supervisor from ever sleeping, and then handing over costs more than it saves. Which it is
//! depends on the machine, so while several targets are seen both ways are tried for some dozens
//! of notifications, and the faster one is kept for a while.

use std::time::{Duration, Instant};

/// How the listeners of a supervisor wake their targets up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WakeUp {
    /// Switched on and off by what is faster at the moment.
    #[default]
    Auto,
    /// Always synchronous: best for one target (Linux 6.6; the kernel's default on an older one).
    Sync,
    /// Never.
    Async,
}

/// Notifications between two decisions.
pub(super) const ROUND: u32 = 64;

/// Notifications that come slower than this are not what limits the targets, and a round of them
/// measures the targets' own work.
const BUSY: Duration = Duration::from_micros(100);

/// Rounds a choice stands before the other way is tried again: at first, and at the most.
const HOLD: u32 = 64;
const HOLD_AT_MOST: u32 = 4096;

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The choice stands for so many rounds more.
    Hold(u32),
    /// The other way was just switched to; this round pays for the change.
    Settle,
    /// This round measures the other way.
    Try,
}

/// The choice, learnt round by round.
#[derive(Debug)]
pub(super) struct Choice {
    sync: bool,
    phase: Phase,
    hold: u32,
    /// Time of the latest round before the other way was tried.
    before: Duration,
}

impl Default for Choice {
    fn default() -> Self {
        Choice {
            sync: true,
            phase: Phase::Hold(2),
            hold: HOLD,
            before: Duration::MAX,
        }
    }
}

impl Choice {
    /// Learns from one round, and says what the next one is to be.
    pub(super) fn round(&mut self, took: Duration, several_targets: bool) -> bool {
        if !several_targets || took > BUSY * ROUND {
            let sync = match self.phase {
                // A way that makes busy targets look idle is the wrong one.
                Phase::Settle | Phase::Try => !self.sync,
                Phase::Hold(_) => self.sync,
            };
            *self = Choice {
                sync: sync || !several_targets,
                hold: self.hold,
                phase: Phase::Hold(self.hold.min(HOLD)),
                ..Choice::default()
            };
            return self.sync;
        }
        self.phase = match self.phase {
            Phase::Hold(0) => {
                self.before = took;
                self.sync = !self.sync;
                Phase::Settle
            }
            Phase::Hold(rounds) => Phase::Hold(rounds - 1),
            Phase::Settle => Phase::Try,
            Phase::Try if took < self.before => {
                self.hold = HOLD;
                Phase::Hold(self.hold)
            }
            Phase::Try => {
                self.sync = !self.sync;
                self.hold = (self.hold * 2).min(HOLD_AT_MOST);
                Phase::Hold(self.hold)
            }
        };
        self.sync
    }
}

/// One worker's round so far.
#[derive(Debug)]
pub(super) struct Round {
    begun: Instant,
    left: u32,
    target: u32,
    several: bool,
}

impl Round {
    pub(super) fn new() -> Self {
        Round {
            begun: Instant::now(),
            left: ROUND,
            target: 0,
            several: false,
        }
    }

    /// Counts a notification of `target`. At the end of a round: how long it took, and whether
    /// several targets were seen.
    pub(super) fn count(&mut self, target: u32) -> Option<(Duration, bool)> {
        if self.target != target {
            self.several |= self.target != 0;
            self.target = target;
        }
        self.left -= 1;
        if self.left > 0 {
            return None;
        }
        let now = Instant::now();
        let round = (now - self.begun, self.several);
        *self = Round {
            begun: now,
            left: ROUND,
            target,
            several: false,
        };
        Some(round)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_micros(4 * ROUND as u64);
    const SLOW: Duration = Duration::from_micros(40 * ROUND as u64);

    /// Rounds of several targets on a machine where one way is the fast one.
    fn live(choice: &mut Choice, fast_when_sync: bool, rounds: u32) -> u32 {
        let mut sync = choice.sync;
        let mut in_sync = 0;
        for _ in 0..rounds {
            in_sync += u32::from(sync);
            sync = choice.round(if sync == fast_when_sync { FAST } else { SLOW }, true);
        }
        in_sync
    }

    #[test]
    fn one_target_is_always_woken_synchronously() {
        let mut choice = Choice::default();
        for _ in 0..1000 {
            assert!(choice.round(FAST, false));
        }
    }

    #[test]
    fn the_faster_way_is_found_and_kept() {
        let mut choice = Choice::default();
        assert!(live(&mut choice, false, 10_000) < 300);
        let mut choice = Choice::default();
        assert!(live(&mut choice, true, 10_000) > 9_700);
    }

    #[test]
    fn a_change_of_fortune_is_noticed() {
        let mut choice = Choice::default();
        live(&mut choice, false, 1_000);
        assert!(live(&mut choice, true, 20_000) > 15_000);
    }

    #[test]
    fn going_back_to_one_target_is_synchronous_again() {
        let mut choice = Choice::default();
        live(&mut choice, false, 1_000);
        assert!(choice.round(FAST, false));
    }
}
