//! How notifications are received: by how many workers at once, and whether waking the other side
//! up hands over the processor.
//!
//! For one target there is nothing to choose: one worker receives, and waking up is synchronous.
//! Target and supervisor take turns then, and the switch on the same processor is several times
//! faster than waking another one. Several busy targets can keep the supervisor from ever
//! sleeping, and then handing over may cost more than it saves, and a second receiver may help or
//! be in the way. Which it is depends on the machine and on what else it does. So while several
//! targets are seen all ways are tried now and then for some milliseconds each, in turns with the
//! present one, and the one with the best median of late is kept for a while.
//!
//! Several listeners are received from by one worker, and waking up is synchronous: where many are
//! busy that serves a seventh fewer calls than without, for a quarter less processor time each.

use std::time::{Duration, Instant};

/// How the listeners of a supervisor wake their targets up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum WakeUp {
    /// Switched on and off by what is measured to be faster at the moment: on for one target, for
    /// several listeners, and with [`dispatch`](crate::Supervisor::dispatch).
    #[default]
    Auto,
    /// Always synchronous: best for one target (Linux 6.6; the kernel's default on an older one).
    Sync,
    /// Never.
    Async,
}

/// One way to receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mode {
    /// How many workers receive at the same time.
    pub(super) receivers: usize,
    /// Whether waking up is synchronous.
    pub(super) sync: bool,
}

/// The most workers that are tried as receivers: what they do in the kernel is mostly under one
/// lock.
const MOST_RECEIVERS: usize = 4;

/// The ways there are, the first of which is the one for a single target.
pub(super) fn modes(wake_up: WakeUp, most_receivers: usize) -> Vec<Mode> {
    let wake_ups: &[bool] = match wake_up {
        WakeUp::Auto => &[true, false],
        WakeUp::Sync => &[true],
        WakeUp::Async => &[false],
    };
    let most = most_receivers.clamp(1, MOST_RECEIVERS);
    std::iter::successors(Some(1), |r| Some(r * 2))
        .take_while(|&receivers| receivers <= most)
        .flat_map(|receivers| wake_ups.iter().map(move |&sync| Mode { receivers, sync }))
        .collect()
}

/// Notifications of one worker between two looks at the clock.
const ROUND: u32 = 32;

/// Notifications that a mode is left alone for after it was switched to, and that it is measured
/// for then: some milliseconds, for the scheduler takes as long to lay everybody out anew.
const SETTLE: u64 = 256;
const MEASURE: u64 = 256;

/// Notifications after which a mode may be given up early.
const ENOUGH: u64 = 64;

/// How often each mode is tried, at the most, before one is chosen, and how many of the latest tries
/// count: machines are noisy, and it takes some to see through that.
const PASSES: usize = 5;
const REMEMBERED: usize = 15;

/// A mode that is slower than the present one by this is given up while it is measured, and by the
/// second while it settles.
const HOPELESS: f64 = 1.5;
const DISASTROUS: f64 = 3.0;

/// The more often a mode was tried, the less it may be slower to be tried again: down to this.
const WORTHWHILE: f64 = 1.1;

/// Another mode is chosen if it takes at most so much of the time of the present one.
const BETTER: f64 = 0.95;

/// Notifications before the modes are tried: for the first time, and again; the latter is doubled
/// each time that the choice was confirmed.
const HOLD_FIRST: u64 = 512;
const HOLD: u64 = 16 * 1024;
const HOLD_AT_MOST: u64 = 256 * 1024;

/// Notifications that come slower than this are not what limits the targets, and their rate says
/// nothing about the mode.
const BUSY: Duration = Duration::from_micros(100);

/// In a round of targets that call at the same time the caller changes at least so often. Targets
/// that come one after the other do not count as several.
const CHANGES: u32 = 4;

/// For so long just one target was seen, and there is just one. With several receivers each may be
/// serving a target of its own, and one that has lost its processor to somebody else is not heard of
/// for some milliseconds.
const ALONE: Duration = Duration::from_millis(10);

/// The choice, learnt round by round.
#[derive(Debug)]
pub(super) struct Choice {
    arms: Vec<Arm>,
    chosen: usize,
    /// While the modes are tried. Nothing here allocates.
    trial: Option<Trial>,
    /// Notifications until the modes are tried again, and how many that will be next time.
    left: u64,
    hold: u64,
    /// When the present measurement began, and how many had been received by then.
    begun: Instant,
    received: u64,
    target: u32,
    /// When several targets were last seen.
    several: Option<Instant>,
}

/// A mode, and how long a notification took in it the last times that it was tried: as a share of
/// what it took in the present mode, tried just before.
#[derive(Debug)]
struct Arm {
    mode: Mode,
    /// As a ring, of which the first `tries` are filled.
    took: [f64; REMEMBERED],
    tries: usize,
    /// Whether it is worth another try in this trial.
    is_tried: bool,
}

impl Arm {
    fn new(mode: Mode) -> Self {
        Arm {
            mode,
            took: [0.0; REMEMBERED],
            tries: 0,
            is_tried: false,
        }
    }

    fn tried(&mut self, took: f64) {
        self.took[self.tries % REMEMBERED] = took;
        self.tries += 1;
        let known = self.tries.min(REMEMBERED);
        let patience = (HOPELESS - 1.0) / known as f64;
        self.is_tried = took < 1.0 || self.median() <= (1.0 + patience).max(WORTHWHILE);
    }

    fn median(&self) -> f64 {
        let mut took = self.took;
        let known = &mut took[..self.tries.min(REMEMBERED)];
        known.sort_unstable_by(f64::total_cmp);
        known.get(known.len() / 2).copied().unwrap_or(f64::INFINITY)
    }
}

/// Where the trying is.
#[derive(Debug)]
struct Trial {
    /// The arm that is on.
    arm: usize,
    pass: usize,
    settled: bool,
    /// What a notification took in the chosen mode in this pass, in seconds.
    base: f64,
}

impl Trial {
    /// A pass begins with the chosen arm.
    fn pass(pass: usize, chosen: usize) -> Self {
        Trial {
            arm: chosen,
            pass,
            settled: false,
            base: f64::INFINITY,
        }
    }
}

impl Choice {
    /// `modes` has at least one; the first is the one for a single target.
    pub(super) fn new(modes: Vec<Mode>) -> Self {
        Choice {
            arms: modes.into_iter().map(Arm::new).collect(),
            chosen: 0,
            trial: None,
            left: HOLD_FIRST,
            hold: HOLD,
            begun: Instant::now(),
            received: 0,
            target: 0,
            several: None,
        }
    }

    /// Learns from a worker's round, at the end of which all workers have `received` so many, and
    /// says how to go on.
    pub(super) fn round(&mut self, round: Seen, now: Instant, received: u64) -> Mode {
        let in_turns = self.present().receivers > 1 && round.target != self.target;
        if round.changes >= CHANGES || in_turns {
            self.several = Some(now);
        }
        self.target = round.target;
        let is_recent = |seen| now.saturating_duration_since(seen) < ALONE;
        let is_alone = !self.several.is_some_and(is_recent);

        let count = received.wrapping_sub(self.received);
        let took = now.saturating_duration_since(self.begun).as_secs_f64() / count.max(1) as f64;
        if is_alone || took > BUSY.as_secs_f64() {
            return self.pause(now, received);
        }
        match &mut self.trial {
            None if count < self.left => return self.present(),
            None => self.begin_trial(),
            Some(trial) => {
                let is_worse = |by: f64| count >= ENOUGH && took > trial.base * by;
                if !trial.settled && !is_worse(DISASTROUS) {
                    trial.settled = count >= SETTLE;
                    if !trial.settled {
                        return self.present();
                    }
                } else if count < MEASURE && !is_worse(HOPELESS) {
                    return self.present();
                } else {
                    self.tried(took);
                }
            }
        }
        self.measure_from(now, received);
        self.present()
    }

    /// The mode for a single target. Whatever was under way is begun anew with the next round.
    pub(super) fn pause(&mut self, now: Instant, received: u64) -> Mode {
        if let Some(trial) = &mut self.trial {
            trial.settled = false;
        }
        self.measure_from(now, received);
        self.arms[0].mode
    }

    fn measure_from(&mut self, now: Instant, received: u64) {
        if self.trial.is_none() {
            // The time until the next trial goes on.
            self.left = self
                .left
                .saturating_sub(received.wrapping_sub(self.received));
        }
        self.begun = now;
        self.received = received;
    }

    fn present(&self) -> Mode {
        let arm = self.trial.as_ref().map_or(self.chosen, |trial| trial.arm);
        self.arms[arm].mode
    }

    fn begin_trial(&mut self) {
        self.arms.iter_mut().for_each(|arm| arm.is_tried = true);
        self.trial = Some(Trial::pass(0, self.chosen));
    }

    /// A notification took so long in the mode that is on.
    fn tried(&mut self, took: f64) {
        let Some(trial) = &mut self.trial else {
            return;
        };
        let chosen = self.chosen;
        // The others follow the chosen one in their order.
        let next = if trial.arm == chosen {
            trial.base = took;
            0
        } else {
            trial.arm + 1
        };
        self.arms[trial.arm].tried(took / trial.base);
        trial.settled = false;
        let worthwhile = |arm: &usize| *arm != chosen && self.arms[*arm].is_tried;
        if let Some(arm) = (next..self.arms.len()).find(worthwhile) {
            trial.arm = arm;
        } else if trial.pass + 1 < PASSES && (0..self.arms.len()).any(|arm| worthwhile(&arm)) {
            *trial = Trial::pass(trial.pass + 1, chosen);
        } else {
            self.choose();
        }
    }

    fn choose(&mut self) {
        self.trial = None;
        let of = |arm: usize| self.arms[arm].median();
        let best = (0..self.arms.len()).min_by(|&a, &b| of(a).total_cmp(&of(b)));
        match best.filter(|&best| of(best) < BETTER) {
            Some(best) => {
                let unit = of(best);
                for took in self.arms.iter_mut().flat_map(|arm| &mut arm.took) {
                    *took /= unit;
                }
                self.chosen = best;
                self.hold = HOLD;
            }
            None => self.hold = (self.hold * 2).min(HOLD_AT_MOST),
        }
        self.left = self.hold;
    }
}

/// What one worker saw in a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The last target.
    target: u32,
    /// How often the target was another than the one before.
    changes: u32,
}

/// One worker's round so far.
#[derive(Debug)]
pub(super) struct Round {
    left: u32,
    seen: Seen,
}

impl Round {
    pub(super) fn new() -> Self {
        Self::after(0)
    }

    fn after(target: u32) -> Self {
        Round {
            left: ROUND,
            seen: Seen { target, changes: 0 },
        }
    }

    /// Counts a notification of `target`. At the end of a round: what was seen in it.
    #[inline]
    pub(super) fn count(&mut self, target: u32) -> Option<Seen> {
        self.seen.changes += u32::from(self.seen.target != target);
        self.seen.target = target;
        self.left -= 1;
        if self.left > 0 {
            return None;
        }
        let seen = self.seen;
        *self = Self::after(target);
        Some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Seen = Seen {
        target: 1,
        changes: 0,
    };
    const SEVERAL: Seen = Seen {
        target: 1,
        changes: ROUND,
    };

    /// A machine on which a notification takes so many microseconds in each mode.
    struct Machine {
        choice: Choice,
        now: Instant,
        received: u64,
        mode: Mode,
    }

    impl Machine {
        fn new(most_receivers: usize) -> Self {
            let modes = modes(WakeUp::Auto, most_receivers);
            Machine {
                mode: modes[0],
                choice: Choice::new(modes),
                now: Instant::now(),
                received: 0,
            }
        }

        /// Rounds in which `seen` is seen. How many of them were in each mode, as a share.
        fn live(&mut self, rounds: u32, seen: Seen, micros: impl Fn(Mode) -> f64) -> Shares {
            let mut lived = Vec::new();
            for _ in 0..rounds {
                lived.push(self.mode);
                self.received += u64::from(ROUND);
                self.now += Duration::from_secs_f64(micros(self.mode) * f64::from(ROUND) / 1e6);
                self.mode = self.choice.round(seen, self.now, self.received);
            }
            Shares(lived)
        }
    }

    struct Shares(Vec<Mode>);

    impl Shares {
        fn of(&self, receivers: usize, sync: bool) -> f64 {
            let mode = Mode { receivers, sync };
            let count = self.0.iter().filter(|&&m| m == mode).count();
            count as f64 / self.0.len() as f64
        }
    }

    #[test]
    fn one_target_has_one_receiver_and_is_woken_synchronously() {
        let mut machine = Machine::new(2);
        let shares = machine.live(10_000, ONE, |_| 5.0);
        assert_eq!(shares.of(1, true), 1.0);
    }

    #[test]
    fn the_fastest_mode_is_found_and_kept() {
        for (receivers, sync) in [(1, true), (1, false), (2, true), (2, false)] {
            let fast = Mode { receivers, sync };
            let mut machine = Machine::new(2);
            let shares = machine.live(40_000, SEVERAL, |m| if m == fast { 4.0 } else { 5.0 });
            assert!(shares.of(receivers, sync) > 0.97, "{fast:?}");
        }
    }

    #[test]
    fn trying_hopeless_modes_takes_little_time() {
        let mut machine = Machine::new(2);
        let begun = machine.now;
        let rounds = 4_000;
        machine.live(rounds, SEVERAL, |m| if m.sync { 5.0 } else { 40.0 });
        let best = f64::from(rounds * ROUND) * 5.0 / 1e6;
        let took = (machine.now - begun).as_secs_f64();
        assert!(took < best * 1.05, "{took} instead of {best}");
    }

    #[test]
    fn a_change_of_fortune_is_noticed() {
        let mut machine = Machine::new(1);
        machine.live(10_000, SEVERAL, |m| if m.sync { 5.0 } else { 4.0 });
        let shares = machine.live(200_000, SEVERAL, |m| if m.sync { 5.0 } else { 7.0 });
        assert!(shares.of(1, true) > 0.7);
    }

    #[test]
    fn going_back_to_one_target_is_synchronous_again() {
        let mut machine = Machine::new(2);
        let shares = machine.live(5_000, SEVERAL, |m| if m.sync { 5.0 } else { 4.0 });
        assert!(shares.of(1, false) > 0.5 || shares.of(2, false) > 0.5);
        let rounds = 1 + (ALONE.as_secs_f64() * 1e6 / (f64::from(ROUND) * 5.0)) as u32;
        machine.live(rounds, ONE, |_| 5.0);
        assert_eq!(machine.live(100, ONE, |_| 5.0).of(1, true), 1.0);
        // And what was learnt is not forgotten.
        machine.live(1, SEVERAL, |_| 5.0);
        let shares = machine.live(100, SEVERAL, |m| if m.sync { 5.0 } else { 4.0 });
        assert_eq!(shares.of(1, true) + shares.of(2, true), 0.0);
    }

    #[test]
    fn a_receiver_that_lost_its_processor_for_a_while_leaves_the_mode_as_it_is() {
        let mut machine = Machine::new(2);
        let micros = |mode: Mode| if mode.receivers == 2 { 4.0 } else { 5.0 };
        machine.live(10_000, SEVERAL, micros);
        for target in [1, 2].into_iter().cycle().take(100) {
            let seen = Seen { target, changes: 0 };
            // 5 ms in which only the other one is heard of.
            let shares = machine.live(40, seen, micros);
            assert_eq!(shares.of(1, true) + shares.of(1, false), 0.0);
        }
    }

    #[test]
    fn targets_that_come_one_after_the_other_are_not_several() {
        let mut machine = Machine::new(2);
        for target in 2..2_000 {
            let first = Seen { target, changes: 1 };
            let rest = Seen { target, changes: 0 };
            let shares = machine.live(1, first, |_| 5.0);
            assert_eq!(shares.of(1, true), 1.0);
            assert_eq!(machine.live(20, rest, |_| 5.0).of(1, true), 1.0);
        }
    }

    #[test]
    fn idle_targets_are_not_experimented_with() {
        let mut machine = Machine::new(2);
        let shares = machine.live(10_000, SEVERAL, |_| 500.0);
        assert_eq!(shares.of(1, true), 1.0);
    }

    #[test]
    fn a_fixed_wake_up_is_never_changed() {
        for (wake_up, sync) in [(WakeUp::Sync, true), (WakeUp::Async, false)] {
            assert!(modes(wake_up, 4).iter().all(|m| m.sync == sync));
            assert_eq!(modes(wake_up, 4).len(), 3);
            assert_eq!(modes(wake_up, 1).len(), 1);
        }
    }
}
