//! What every trial of the release tool needs: states to start from, a judge of what users see, a print of what is left, and
//! the table that is shown.
//!
//! * [`scenario`]: the phases, and the states that they start from
//! * [`tracer`]: a program, stopped before each change
//! * [`disk`]: what a power cut leaves of its changes
//! * [`world`]: what users see
//! * [`place`]: what a run leaves
//! * [`trial`]: how a trial starts and ends
//! * [`table`]: how the points of a phase ended
//!
//! The trials are the programs `xtask-crash`, in `crash/`, and `xtask-faults`, in `faults/`.

pub mod disk;
pub mod place;
pub mod scenario;
pub mod table;
pub mod tracer;
pub mod trial;
pub mod world;
