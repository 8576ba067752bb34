//! A plan that is carried out write by write: the waves and the looks before each act are those of
//! `delivery::carry_out`, in small.

use xtask::domain::version::Version;
use xtask_publish::domain::publication::acts::Wave;
use xtask_publish::domain::publication::plan::{Planned, Status};
use xtask_publish::domain::publication::pointers::Published;

use super::environment::{Ended, Plan, World, Write};

/// A run that carries out a plan.
struct Run<'a> {
    plan: &'a Plan,
    wave: usize,
    /// What was published when the wave began.
    published: Option<Published>,
    position: usize,
    waits: bool,
    /// Writes of the act that is being applied.
    pending: Vec<Write>,
}

impl World {
    pub fn carry_out(&mut self, plan: &Plan, killed: Option<u8>) -> Ended {
        let mut run = Run::new(plan);
        let mut left = killed.map_or(usize::MAX, usize::from);
        loop {
            match run.step(self, &mut left) {
                Some(ended) => return ended,
                None if left == 0 => return Ended::Stopped,
                None => {}
            }
        }
    }

    /// Carries out two plans at the same time: `turns` say which of them goes on.
    pub fn interleave(&mut self, one: &Plan, other: &Plan, turns: &[bool]) -> Ended {
        let mut runs = [Run::new(one), Run::new(other)];
        let mut ended = [None, None];
        let mut turns = turns.iter().copied().cycle();
        while ended.contains(&None) {
            let mut who = usize::from(turns.next().expect("a cycle"));
            if ended[who].is_some() {
                who = 1 - who;
            }
            // A write at a time.
            ended[who] = runs[who].step(self, &mut usize::MAX.clone());
        }
        if ended == [Some(Ended::Done); 2] { Ended::Done } else { Ended::Stopped }
    }
}

impl Run<'_> {
    fn new(plan: &Plan) -> Run<'_> {
        Run { plan, wave: 0, published: None, position: 0, waits: false, pending: Vec::new() }
    }

    /// Makes one write, or one look. Returns how the run ended, once it has.
    fn step(&mut self, world: &mut World, left: &mut usize) -> Option<Ended> {
        if let Some(write) = (!self.pending.is_empty()).then(|| self.pending.remove(0)) {
            world.write(&write);
            *left = left.saturating_sub(1);
            return None;
        }
        let to_do = self.plan.acts.iter().any(|(_, planned)| planned.is_to_do());
        if self.wave == 0 && self.position == 0 && !to_do {
            let waits = self.plan.acts.iter().any(|(_, planned)| matches!(planned.status, Status::Waiting(_)));
            return Some(if waits { Ended::Refused } else { Ended::Done });
        }
        if self.published.is_none() {
            self.published = Some(match &self.plan.beside {
                Some((found, _)) if self.wave == 0 && *found != world.published() => return Some(Ended::Refused),
                Some((_, after)) => after.clone(),
                None => {
                    let arriving = self.plan.acts.iter().map(|(version, _)| version.clone()).collect();
                    Published { arriving, ..world.published() }
                }
            });
        }
        let published = self.published.clone().expect("it was just read");
        let wave = Wave::ALL[self.wave];
        let acts: Vec<&(Version, Planned)> = self.plan.acts.iter().filter(|(_, act)| act.wave == wave).collect();
        let Some((version, planned)) = acts.get(self.position) else {
            if wave == Wave::Pointers && !self.leads_there(world, &acts, &published) {
                return Some(Ended::Stopped);
            }
            if self.waits {
                return Some(Ended::Stopped);
            }
            (self.wave, self.position, self.published) = (self.wave + 1, 0, None);
            return (self.wave == Wave::ALL.len()).then_some(Ended::Done);
        };
        self.position += 1;
        let now = world.judge(&planned.act, version, &published);
        match &now.status {
            Status::Stays(_) if planned.is_to_do() => Some(Ended::Stopped),
            Status::Refused(_) | Status::Unseen(_) | Status::Unreachable(_) | Status::LeftOut => Some(Ended::Stopped),
            Status::Same | Status::Stays(_) => None,
            Status::Waiting(_) => {
                self.waits = true;
                None
            }
            Status::Absent | Status::Different => {
                if now.changes.iter().any(|change| !planned.changes.contains(change)) {
                    return Some(Ended::Stopped);
                }
                self.pending = world.writes(&planned.act, version, &published);
                None
            }
        }
    }

    /// Whether all pointers lead where they should, before the receipt says so.
    fn leads_there(&self, world: &World, acts: &[&(Version, Planned)], published: &Published) -> bool {
        acts.iter().all(|(version, planned)| match world.judge(&planned.act, version, published).status {
            Status::Same | Status::Waiting(_) => true,
            Status::Stays(_) => !planned.is_to_do(),
            Status::Absent
            | Status::Different
            | Status::Refused(_)
            | Status::Unseen(_)
            | Status::Unreachable(_)
            | Status::LeftOut => false,
        })
    }
}
