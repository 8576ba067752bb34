//! A server in front of another: counts the requests, and harms the answers to some.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use socket2::SockRef;

use super::backend::Backend;
use super::fault::{Fault, Lasts, Outcome, harm};
use super::http::{Answer, Request, request};
use super::turns::Turns;

/// Interval at which a stalled connection is looked at.
const STEP: Duration = Duration::from_millis(100);

/// The servers that a release is published to, and read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Side {
    S3,
    Registry,
    Public,
    Git,
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Side::S3 => "s3",
            Side::Registry => "registry",
            Side::Public => "public",
            Side::Git => "git",
        }
    }
}

/// Which answers are harmed.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub side: Side,
    /// Number of the request, counted from 1.
    pub at: usize,
    pub fault: Fault,
    /// Which later answers are harmed, too.
    pub lasts: Lasts,
}

/// A request that a side got.
#[derive(Debug, Clone)]
pub struct Event {
    pub what: String,
    pub only_reads: bool,
    pub has_body: bool,
}

/// When someone else does something in the middle of a run.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// Before this request of all, counted from 1.
    Request(usize),
    /// Before the first request that follows so many writes.
    Writes(usize),
}

/// What someone else does in the middle of a run.
pub type Deed = (When, Arc<dyn Fn() + Send + Sync>);

/// The run that the fronts of one place serve.
#[derive(Default)]
pub struct Run {
    plan: Option<Plan>,
    deed: Option<Deed>,
    /// Number of requests so far, of all sides.
    count: usize,
    /// Number of writes so far, but those of the lock.
    pub writes: usize,
    /// If the deed was done: when it was due, and the number of writes by then.
    pub writes_before_deed: Option<(When, usize)>,
    /// The requests of each side.
    pub events: BTreeMap<Side, Vec<Event>>,
    earlier: BTreeMap<(Side, String, String), Answer>,
    /// The first request whose answer was harmed.
    pub harmed: Option<String>,
    /// Counts the runs, so that what stalls ends with its run.
    number: usize,
}

impl Run {
    /// Counts a request; returns the number of the run, and what is due before it.
    fn count(&mut self, request: &Request) -> (usize, Option<Arc<dyn Fn() + Send + Sync>>) {
        self.count += 1;
        let due = self.deed.take_if(|(when, _)| match *when {
            When::Request(at) => at == self.count,
            When::Writes(count) => count == self.writes,
        });
        if let Some((when, _)) = &due {
            self.writes_before_deed = Some((*when, self.writes));
        }
        self.writes += usize::from(is_write(&what(request)));
        (self.number, due.map(|(_, deed)| deed))
    }
}

/// Shared by the fronts of one place.
#[derive(Clone, Default)]
pub struct Control {
    run: Arc<Mutex<Run>>,
    turns: Option<(Arc<Turns>, usize)>,
}

impl Control {
    /// For one of two runs that take turns.
    pub fn of_runner(turns: &Arc<Turns>, runner: usize) -> Control {
        Control { run: Arc::default(), turns: Some((Arc::clone(turns), runner)) }
    }

    /// Begins a run.
    pub fn begin(&self, plan: Option<Plan>) {
        let mut run = self.run();
        *run = Run { plan, number: run.number + 1, ..Run::default() };
    }

    /// Begins a run in the middle of which someone else does something.
    pub fn begin_with(&self, deed: Option<Deed>) {
        self.begin(None);
        self.run().deed = deed;
    }

    pub fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().expect("nothing panics with it")
    }
}

/// Starts to serve on a free port of loopback, until the program ends.
///
/// # Errors
/// Every port is taken.
pub fn start(side: Side, backend: Arc<dyn Backend>, control: &Control) -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on loopback")?;
    let address = listener.local_addr()?;
    let control = control.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let front = Front { side, backend: Arc::clone(&backend), control: control.clone() };
            // A connection that breaks off is the client's business.
            std::thread::spawn(move || drop(front.serve(stream)));
        }
    });
    Ok(address)
}

/// One connection.
struct Front {
    side: Side,
    backend: Arc<dyn Backend>,
    control: Control,
}

impl Front {
    fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = request(&mut reader)? {
            if let Some((turns, runner)) = &self.control.turns {
                turns.wait(*runner, &what(&request));
            }
            let (number, deed) = self.control.run().count(&request);
            if let Some(deed) = deed {
                deed();
            }
            match self.outcome(&request) {
                Outcome::Send(bytes) => writer.write_all(&bytes)?,
                Outcome::SendAndClose(bytes) => {
                    writer.write_all(&bytes)?;
                    writer.shutdown(std::net::Shutdown::Both)?;
                    return Ok(());
                }
                Outcome::SendAndStall(bytes) => {
                    writer.write_all(&bytes)?;
                    return self.stall(&writer, number);
                }
                Outcome::Reset => {
                    SockRef::from(&writer).set_linger(Some(Duration::ZERO))?;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Keeps the connection until the client has enough, or the run is over.
    fn stall(&self, stream: &TcpStream, number: usize) -> Result<()> {
        stream.set_read_timeout(Some(STEP))?;
        let mut byte = [0];
        while self.control.run().number == number {
            match stream.peek(&mut byte) {
                Ok(0) => break,
                // More of the request, or nothing within the interval.
                Ok(_) => std::thread::sleep(STEP),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn outcome(&self, request: &Request) -> Outcome {
        let key = (self.side, request.method.clone(), request.target.clone());
        let (fault, earlier) = {
            let mut run = self.control.run();
            let event = Event { what: what(request), only_reads: request.only_reads(), has_body: false };
            let events = run.events.entry(self.side).or_default();
            events.push(event);
            let at = events.len();
            let is_due = |plan: &Plan| {
                let is_later = match plan.lasts {
                    Lasts::Once => false,
                    Lasts::Same => run.harmed.as_ref() == Some(&what(request)),
                    Lasts::All => plan.at < at,
                };
                plan.side == self.side && (plan.at == at || is_later)
            };
            let fault = run.plan.filter(is_due).map(|plan| plan.fault);
            if fault.is_some() && run.harmed.is_none() {
                run.harmed = Some(what(request));
            }
            (fault.map(|fault| (fault, at)), run.earlier.get(&key).cloned())
        };
        if let Some((fault, _)) = fault {
            return harm(fault, request, self.backend.as_ref(), earlier.as_ref());
        }
        let answer = self.backend.answer(request);
        let mut run = self.control.run();
        if let Some(event) = run
            .events
            .get_mut(&self.side)
            .and_then(|events| events.iter_mut().rev().find(|event| event.what == key.1.clone() + " " + &key.2))
        {
            event.has_body |= !answer.body.is_empty();
        }
        let bytes = answer.bytes();
        run.earlier.insert(key, answer);
        Outcome::Send(bytes)
    }
}

/// Whether a request changes what users see, or prepares it.
fn is_write(what: &str) -> bool {
    (what.starts_with("PUT ") || what.starts_with("DELETE ")) && !what.contains("/release.lock")
}

fn what(request: &Request) -> String {
    format!("{} {}", request.method, request.target)
}
