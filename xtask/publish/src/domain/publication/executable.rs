//! The system that an executable file runs on, as its first bytes say.
//!
//! Knows just enough of two formats: ELF (System V ABI, chapter 4, with `e_machine` from its registry) for Linux, and
//! 64-bit Mach-O (Apple's `mach-o/loader.h`) for macOS.

use xtask::domain::system::System;

/// Number of bytes of a file that [`system_of`] looks at.
pub const HEADER: usize = 20;

const ELF: &[u8] = b"\x7fELF";
/// `EI_CLASS` and `EI_DATA`: 64 bits, little-endian.
const ELF64_LSB: &[u8] = &[2, 1];
/// `MH_MAGIC_64`, as a little-endian machine writes it.
const MACH_O_64: &[u8] = &[0xcf, 0xfa, 0xed, 0xfe];
/// `FAT_MAGIC` and `FAT_MAGIC_64`, which are big-endian.
const UNIVERSAL: [&[u8]; 2] = [&[0xca, 0xfe, 0xba, 0xbe], &[0xca, 0xfe, 0xba, 0xbf]];

/// Whether a file is a program, a library, or another binary, by its first bytes.
pub fn is_binary(header: &[u8]) -> bool {
    header.starts_with(ELF) || header.starts_with(MACH_O_64) || UNIVERSAL.iter().any(|magic| header.starts_with(magic))
}

/// Returns the system that a file runs on, given its first [`HEADER`] bytes, or all of a shorter file.
///
/// # Errors
/// The file is not an executable for exactly one system that releases are made for; the message says what it is.
pub fn system_of(header: &[u8]) -> Result<System, String> {
    let (cpu, os) = if header.starts_with(ELF) {
        (elf_cpu(header)?, "linux")
    } else if header.starts_with(MACH_O_64) {
        (mach_o_cpu(header)?, "darwin")
    } else if UNIVERSAL.iter().any(|magic| header.starts_with(magic)) {
        return Err("is a universal binary, but its name promises one architecture".to_owned());
    } else if header.is_empty() {
        return Err("is empty".to_owned());
    } else {
        return Err("is neither an ELF nor a 64-bit Mach-O executable".to_owned());
    };
    format!("{cpu}-{os}").parse()
}

/// Returns the system that a program or a library runs on; `None` for everything else, such as scripts, objects to link
/// with, and universal binaries. `header` is as for [`system_of`].
pub fn runs_on(header: &[u8]) -> Option<Result<System, String>> {
    let (cpu, os) = if header.starts_with(ELF) {
        match header.get(16..18)? {
            [2 | 3, 0] | [0, 2 | 3] => (elf_machine(header), "linux"),
            _ => return None,
        }
    } else if header.starts_with(MACH_O_64) {
        // `MH_EXECUTE`, `MH_DYLIB`, `MH_BUNDLE`.
        match header.get(12..16)? {
            [2 | 6 | 8, 0, 0, 0] => (mach_o_machine(header), "darwin"),
            _ => return None,
        }
    } else {
        return None;
    };
    Some(cpu.and_then(|cpu| format!("{cpu}-{os}").parse()))
}

fn elf_cpu(header: &[u8]) -> Result<&'static str, String> {
    // `ET_EXEC`, or `ET_DYN`, which position-independent executables are.
    match header.get(16..18) {
        Some([2 | 3, 0]) => elf_machine(header),
        Some(_) => Err("is an ELF file, but not an executable".to_owned()),
        None => Err(CUT_OFF.to_owned()),
    }
}

fn elf_machine(header: &[u8]) -> Result<&'static str, String> {
    if header.get(4..6) != Some(ELF64_LSB) {
        return Err("is an ELF file, but not a 64-bit little-endian one".to_owned());
    }
    match header.get(18..20) {
        Some([62, 0]) => Ok("x86_64"),
        Some([183, 0]) => Ok("aarch64"),
        Some(machine) => {
            Err(format!("is an ELF executable for the machine {}, not x86_64 or aarch64", number(machine)))
        }
        None => Err(CUT_OFF.to_owned()),
    }
}

fn mach_o_cpu(header: &[u8]) -> Result<&'static str, String> {
    match header.get(12..16) {
        Some([2, 0, 0, 0]) => mach_o_machine(header),
        Some(_) => Err("is a Mach-O file, but not an executable".to_owned()),
        None => Err(CUT_OFF.to_owned()),
    }
}

fn mach_o_machine(header: &[u8]) -> Result<&'static str, String> {
    match header.get(4..8) {
        Some([7, 0, 0, 1]) => Ok("x86_64"),
        Some([12, 0, 0, 1]) => Ok("aarch64"),
        Some(cpu) => Err(format!("is a Mach-O executable for the CPU {}, not x86_64 or aarch64", number(cpu))),
        None => Err(CUT_OFF.to_owned()),
    }
}

const CUT_OFF: &str = "is cut off in its header";

fn number(little_endian: &[u8]) -> u32 {
    little_endian.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn elf(kind: u8, machine: u8) -> Vec<u8> {
        let mut header = b"\x7fELF\x02\x01\x01".to_vec();
        header.resize(16, 0);
        header.extend([kind, 0, machine, 0]);
        header
    }

    fn mach_o(kind: u8, cpu: u8) -> Vec<u8> {
        let mut header = MACH_O_64.to_vec();
        header.extend([cpu, 0, 0, 1, 0, 0, 0, 0, kind, 0, 0, 0, 0, 0, 0, 0]);
        header
    }

    #[test]
    fn what_files_say_about_themselves() {
        let with = |position: usize, byte: u8, mut header: Vec<u8>| {
            header[position] = byte;
            header
        };
        let cases = [
            ("static ELF", elf(2, 62)),
            ("PIE", elf(3, 183)),
            ("RISC-V", elf(3, 243)),
            ("object file", elf(1, 62)),
            ("32-bit ELF", with(4, 1, elf(2, 62))),
            ("half an ELF", elf(2, 62)[..17].to_vec()),
            ("Intel Mac", mach_o(2, 7)),
            ("Apple silicon", mach_o(2, 12)),
            ("PowerPC Mac", mach_o(2, 18)),
            ("dylib", mach_o(6, 12)),
            ("half a Mach-O", mach_o(2, 7)[..9].to_vec()),
            ("universal", vec![0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 2]),
            ("script", b"#!/bin/sh\nexec false\n".to_vec()),
            ("nothing", Vec::new()),
        ];
        let shown: Vec<String> = cases
            .iter()
            .map(|(what, header)| {
                let says = |system: Result<System, String>| system.map_or_else(|why| why, |system| system.to_string());
                let library = runs_on(header).map_or_else(|| "anywhere".to_owned(), says);
                format!("{what}: {}; in an archive: {library}", says(system_of(header)))
            })
            .collect();
        expect![[r#"
            static ELF: x86_64-linux; in an archive: x86_64-linux
            PIE: aarch64-linux; in an archive: aarch64-linux
            RISC-V: is an ELF executable for the machine 243, not x86_64 or aarch64; in an archive: is an ELF executable for the machine 243, not x86_64 or aarch64
            object file: is an ELF file, but not an executable; in an archive: anywhere
            32-bit ELF: is an ELF file, but not a 64-bit little-endian one; in an archive: is an ELF file, but not a 64-bit little-endian one
            half an ELF: is cut off in its header; in an archive: anywhere
            Intel Mac: x86_64-darwin; in an archive: x86_64-darwin
            Apple silicon: aarch64-darwin; in an archive: aarch64-darwin
            PowerPC Mac: is a Mach-O executable for the CPU 16777234, not x86_64 or aarch64; in an archive: is a Mach-O executable for the CPU 16777234, not x86_64 or aarch64
            dylib: is a Mach-O file, but not an executable; in an archive: aarch64-darwin
            half a Mach-O: is cut off in its header; in an archive: anywhere
            universal: is a universal binary, but its name promises one architecture; in an archive: anywhere
            script: is neither an ELF nor a 64-bit Mach-O executable; in an archive: anywhere
            nothing: is empty; in an archive: anywhere"#]]
        .assert_eq(&shown.join("\n"));
    }
}
