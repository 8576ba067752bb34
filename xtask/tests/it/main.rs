//! The tool as people run it, with the real programs. One binary, so that it links once.

mod build;
