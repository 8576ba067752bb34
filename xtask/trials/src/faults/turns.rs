//! Two runs that take turns: whose request is carried out next, by a seed.

use std::sync::{Condvar, Mutex, MutexGuard};

/// Whose turn it is. A turn ends after some requests, or with the run.
#[derive(Debug, Default)]
pub struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    turn: usize,
    /// Number of requests left of this turn.
    left: usize,
    /// Lengths of the turns that follow, last first; then neither waits any more.
    later: Vec<usize>,
    has_ended: [bool; 2],
    /// The first requests of each turn, for people.
    switches: Vec<String>,
}

impl Turns {
    /// Begins with the turn of a run; `lengths` are the numbers of requests of the turns, in order.
    pub fn begin(&self, first: usize, lengths: &[usize]) {
        let mut later: Vec<usize> = lengths.iter().rev().copied().collect();
        let left = later.pop().unwrap_or(usize::MAX);
        *self.state() = State { turn: first, left, later, ..State::default() };
        self.changed.notify_all();
    }

    /// Waits for the turn of a run, and counts a request.
    pub fn wait(&self, runner: usize, what: &str) {
        let mut state = self.state();
        while state.turn != runner && !state.has_ended[1 - runner] && state.left != usize::MAX {
            state = self.changed.wait(state).expect("nothing panics with it");
        }
        if state.turn != runner || state.left == usize::MAX {
            return;
        }
        state.left -= 1;
        if state.left == 0 {
            state.turn = 1 - runner;
            state.left = state.later.pop().unwrap_or(usize::MAX);
            state.switches.push(what.to_owned());
            self.changed.notify_all();
        }
    }

    /// The run has ended: the other one does not wait for it.
    pub fn end(&self, runner: usize) {
        self.state().has_ended[runner] = true;
        self.changed.notify_all();
    }

    /// The requests after which the turn changed.
    pub fn switches(&self) -> Vec<String> {
        self.state().switches.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics with it")
    }
}
