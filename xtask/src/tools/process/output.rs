//! What a program writes, read with a limit: other machines, hooks and flakes decide how much that is.

use std::io::Read;
use std::process::{Child, Output};
use std::sync::mpsc::Receiver;

use anyhow::{Context, Result, anyhow};

/// Most that a program may write to stdout, in bytes: some hundred times what Nix says about a large closure, or git about
/// a large repository's refs.
pub const MOST: u64 = 256 << 20;
/// Number of last bytes of stderr that are kept: the reason of a failure is in them.
const KEPT: usize = 1 << 20;

/// The error about a program that writes too much.
pub fn too_much(shown: &str) -> anyhow::Error {
    anyhow!("`{shown}` was stopped, because it wrote more than {} MB", MOST >> 20)
}

/// Reads a stream to its end, or until it has too much, and keeps its last part.
pub fn last(mut stream: impl Read) -> Vec<u8> {
    let (mut kept, mut buffer, mut length) = (Vec::new(), vec![0; 1 << 16], 0);
    // What was read before an error is still worth showing. A program that writes without end fails once nothing reads it.
    while length <= MOST
        && let Ok(read @ 1..) = stream.read(&mut buffer)
    {
        keep(&mut kept, &buffer[..read]);
        length += read as u64;
    }
    kept
}

/// Adds bytes to the last part of a stream.
pub fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    kept.extend_from_slice(bytes);
    if kept.len() > 2 * KEPT {
        kept.drain(..kept.len() - KEPT);
    }
}

/// Reads the last part of a stream in a thread: the child would block once the pipe is full.
pub fn drained(stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    // The receiver may be gone.
    std::thread::spawn(move || drop(sender.send(last(stream))));
    receiver
}

/// Waits for a program whose streams are pipes.
pub fn of(mut child: Child, shown: &str) -> Result<Output> {
    let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        unreachable!("both are pipes");
    };
    let messages = std::thread::spawn(move || last(err));
    let mut stdout = Vec::new();
    let read = out.take(MOST + 1).read_to_end(&mut stdout);
    if stdout.len() as u64 > MOST {
        // It may be gone by now.
        let _ = child.kill();
        let _ = child.wait();
        return Err(too_much(shown));
    }
    read.with_context(|| format!("cannot read what `{shown}` wrote"))?;
    let status = child.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
    Ok(Output { status, stdout, stderr: messages.join().unwrap_or_default() })
}
